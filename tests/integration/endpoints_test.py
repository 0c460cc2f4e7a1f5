#!/usr/bin/python3
"""endpoints_test.py - the ways to an S3 endpoint: TLS with an own CA, virtual-host style, and where
credentials come from.
"""
import json

from harness import case, content, node as nodes, reader

SIZE = 9 * content.MIB


class Endpoints(case.Case):
    @classmethod
    def setUpClass(cls):
        server = case.World.s3()
        cls.bucket = server.make_bucket()
        cls.data = content.random_bytes(1, SIZE)
        server.put(cls.bucket, "folder/an object+more", cls.data)

    def check_reads(self, node):
        self.assertEqual(reader.read("list", node.mount / "folder"), ["an object+more"])
        self.assertEqual(reader.read("sha256", node.mount / "folder/an object+more"),
                         content.sha256(self.data))
        self.assertNotIn(self.s3.secret_key, node.log() + str(node.status()))
        self.check_ended_well(node)

    def start(self, endpoint=None, environment=None, **settings):
        node = self.make_node([nodes.s3_backing("lake", self.s3, endpoint, **settings)],
                              [nodes.entry(self.bucket)])
        node.environment.update(environment or {})
        return node.start()

    def test_read__path_style__right_bytes(self):
        self.check_reads(self.start())

    def test_read__tls_with_an_own_ca__right_bytes(self):
        self.check_reads(self.start(self.s3.endpoint_tls, ca_file=self.s3.ca))

    def test_read__virtual_host_style__right_bytes(self):
        # *.localhost is the loopback, for libcurl and for systemd's resolver.
        endpoint = f"http://s3.localhost:{self.s3.port}"
        self.check_reads(self.start(endpoint, addressing="virtual"))

    def test_read__virtual_host_style_over_tls__right_bytes(self):
        endpoint = self.s3.endpoint_tls.replace("127.0.0.1", "s3.localhost")
        self.check_reads(self.start(endpoint, addressing="virtual", ca_file=self.s3.ca))

    def test_read__credentials_of_the_environment__right_bytes(self):
        self.check_reads(self.start(credentials={"source": "environment"}, environment={
            "AWS_ACCESS_KEY_ID": self.s3.access_key,
            "AWS_SECRET_ACCESS_KEY": self.s3.secret_key}))

    def test_read__credentials_of_a_file_with_profiles__right_bytes(self):
        file = self.folder("aws") / "credentials"
        file.write_text("[default]\naws_access_key_id = none\naws_secret_access_key = none\n\n"
                        f"[training]\naws_access_key_id={self.s3.access_key}\n"
                        f"aws_secret_access_key = {self.s3.secret_key}\n")
        self.check_reads(self.start(credentials={"source": "file", "file": file,
                                                 "profile": "training"}))

    def make_session(self):
        """Credentials with a session token; they are good at endpoint_sts."""
        def policy(**statement):
            # No spaces: the gateway takes the plus that encodes one for a plus.
            return json.dumps({"Version": "2012-10-17",
                               "Statement": [{"Effect": "Allow", **statement}]},
                              separators=(",", ":"))

        iam = self.s3.make_client("iam", self.s3.endpoint_sts)
        trust = policy(Principal={"AWS": ["arn:aws:iam:::user/test"]}, Action=["sts:AssumeRole"])
        role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=trust)["Role"]
        iam.put_role_policy(RoleName="reader", PolicyName="all",
                            PolicyDocument=policy(Action="s3:*", Resource="arn:aws:s3:::*"))
        sts = self.s3.make_client("sts", self.s3.endpoint_sts)
        return sts.assume_role(RoleArn=role["Arn"], RoleSessionName="test")["Credentials"]

    def test_read__session_token__right_bytes(self):
        session = self.make_session()
        node = self.start(self.s3.endpoint_sts, credentials={
            "access_key": session["AccessKeyId"], "secret_key": session["SecretAccessKey"],
            "session_token": session["SessionToken"]})
        self.assertNotIn(session["SessionToken"], node.log() + str(node.status()))
        self.check_reads(node)

    def test_read__anonymous__only_what_is_public(self):
        self.s3.client.put_bucket_acl(Bucket=self.bucket, ACL="public-read")
        self.s3.client.put_object(Bucket=self.bucket, Key="public", Body=b"for all",
                                  ACL="public-read")
        self.addCleanup(self.s3.client.delete_object, Bucket=self.bucket, Key="public")
        node = self.start(credentials={"source": "anonymous"})
        self.assertEqual((node.mount / "public").read_bytes(), b"for all")
        self.assertEqual(reader.read("sha256", node.mount / "folder/an object+more"),
                         reader.refused("EACCES"))

    def test_read__request_budget__is_kept(self):
        proxy = self.make_proxy()
        node = self.start(proxy.endpoint, concurrent_max=2)
        self.assertEqual(reader.read("sha256", node.mount / "folder/an object+more"),
                         content.sha256(self.data))
        self.assertLessEqual(proxy.concurrent_most, 2)


if __name__ == "__main__":
    case.main()
