"""s3server.py - the Ceph RADOS Gateway of tests/integration/s3-server, and buckets in it."""
import concurrent.futures
import os
import re
import subprocess

import boto3
import botocore.client

from harness import scratch, wait

# "GET /bucket/key HTTP/1.1" 206 1048576 - "agent" bytes=0-1048575 latency=...
REQUEST = re.compile(r'beast: \S+ \S+ - \S+ \[[^]]*\] "(\S+) (\S+) HTTP/[\d.]+" (\d+) (\d+)')
UPLOADERS = 8


class S3Server:
    """One gateway. The attributes endpoint, endpoint_tls, endpoint_sts, ca, access_key,
    secret_key are those that `s3-server start` prints."""

    def __init__(self, directory, store="memstore"):
        self.directory = directory
        self.port = scratch.free_ports()
        self._run("start", str(self.port), store)
        with open(directory / "env", encoding="utf-8") as stream:
            for line in stream:
                name, value = line.rstrip("\n").split("=", 1)
                setattr(self, name, value)
        self.client = self.make_client()
        self._buckets = 0

    def _run(self, action, *arguments):
        done = subprocess.run([scratch.S3_SERVER, action, self.directory, *arguments],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=180, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"s3-server {action}: {done.stdout}")

    def make_client(self, service="s3", endpoint=None, **arguments):
        """A boto3 client that leaves the caller's AWS_ settings alone."""
        config = botocore.client.Config(signature_version="s3v4" if service == "s3" else "v4",
                                        s3={"addressing_style": "path"},
                                        max_pool_connections=UPLOADERS, proxies={})
        return boto3.session.Session().client(
            service, endpoint_url=endpoint or self.endpoint, region_name="us-east-1",
            aws_access_key_id=self.access_key, aws_secret_access_key=self.secret_key,
            config=config, verify=False, **arguments)

    def make_bucket(self, name="data"):
        """A new, empty bucket. Its name begins with @name."""
        self._buckets += 1
        bucket = f"{name}-{self._buckets}"
        self.client.create_bucket(Bucket=bucket)
        return bucket

    def put(self, bucket, key, data):
        """Return: the etag, without its quotes."""
        return self.client.put_object(Bucket=bucket, Key=key, Body=data)["ETag"].strip('"')

    def put_all(self, bucket, items):
        """Uploads (key, data) pairs, several at a time, while the iterable makes them."""
        with concurrent.futures.ThreadPoolExecutor(UPLOADERS) as pool:
            pending = set()
            for key, data in items:
                pending.add(pool.submit(self.put, bucket, key, data))
                if len(pending) >= 4 * UPLOADERS:
                    done, pending = concurrent.futures.wait(
                        pending, return_when=concurrent.futures.FIRST_COMPLETED)
                    for future in done:
                        future.result()
            for future in pending:
                future.result()

    def put_parts(self, bucket, key, parts):
        """A multipart upload of the byte strings in @parts (5 MiB and more, but for the last)."""
        upload = self.client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        tags = []
        for number, data in enumerate(parts, 1):
            tag = self.client.upload_part(Bucket=bucket, Key=key, UploadId=upload,
                                          PartNumber=number, Body=data)["ETag"]
            tags.append({"ETag": tag, "PartNumber": number})
        self.client.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload,
                                              MultipartUpload={"Parts": tags})

    def requests(self):
        """(method, target, status, bytes) of every request the gateway has logged."""
        with open(self.log, encoding="utf-8", errors="replace") as stream:
            return [(method, target, int(status), int(size))
                    for method, target, status, size in REQUEST.findall(stream.read())]

    def object_gets(self, bucket):
        """How many GETs of objects of @bucket the gateway has logged. Its log is written behind
        the answers: a marker request is waited for first."""
        marker = f"/{bucket}/marker-{os.urandom(8).hex()}"
        self.client.list_objects_v2(Bucket=bucket, Prefix=marker)
        wait.until(lambda: any(marker.rsplit("/", 1)[1] in target
                               for _, target, _, _ in self.requests()), 30,
                   "the gateway logs a request")
        return sum(1 for method, target, _, _ in self.requests()
                   if method == "GET" and target.startswith(f"/{bucket}/")
                   and not target.startswith(f"/{bucket}/?"))

    def kill(self, process="gateway"):
        self._run("kill", process)

    def restart(self, process="gateway"):
        self._run("restart", process)

    def freeze(self, process="osd"):
        self._run("freeze", process)

    def thaw(self, process="osd"):
        self._run("thaw", process)

    def stop(self):
        self._run("stop")
