"""dataset.py - what the benchmarks read: one large object, many small ones and many keys, in a
bucket of a Ceph RADOS Gateway and, but for the keys, as raw files beside the caches.

    object/large              one object, uploaded in parts
    files/d000/f000000 ...    110 KiB each, 100 to a directory
    keys/d000/k000000 ...     empty, 1,000 to a directory
"""
import concurrent.futures
import http.client
import json
import os
import shutil
import subprocess

import boto3
import boto3.s3.transfer
import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.config

from machine import Failed, run

BUCKET = "bench"
REGION = "us-east-1"
FILE_LEN = 110 << 10
FILES_PER_DIRECTORY = 100
KEYS_PER_DIRECTORY = 1000
UPLOADERS = 4
S3_SERVER = os.path.join(os.path.dirname(__file__), "../integration/s3-server")


def file_key(index):
    return f"files/d{index // FILES_PER_DIRECTORY:03}/f{index:06}"


def list_key(index):
    return f"keys/d{index // KEYS_PER_DIRECTORY:03}/k{index:06}"


class Server:
    """The gateway. One that still runs in @directory is taken as it is."""

    def __init__(self, directory, port):
        self.directory = directory
        self.port = port
        self.settings = {}

    def start(self):
        if self.answers():
            return
        subprocess.run([S3_SERVER, "stop", self.directory], check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.directory, ignore_errors=True)
        # Its processes inherit stdout: a pipe would never end.
        log = self.directory + ".log"
        with open(log, "w", encoding="utf-8") as stream:
            status = subprocess.run([S3_SERVER, "start", self.directory, str(self.port)],
                                    stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
                                    timeout=180, check=False).returncode
        if status != 0 or not self.answers():
            raise Failed(f"the S3 server did not start: see {log}")

    def answers(self):
        """Whether it runs; reads its settings."""
        try:
            with open(os.path.join(self.directory, "env"), encoding="utf-8") as stream:
                self.settings = dict(line.rstrip("\n").split("=", 1) for line in stream)
            return subprocess.run(["curl", "-sf", "-o", "/dev/null", "--noproxy", "*",
                                   "--max-time", "5", self.settings["endpoint"]],
                                  check=False).returncode == 0
        except OSError:
            return False

    def stop(self):
        run([S3_SERVER, "stop", self.directory], seconds=120)

    def client(self):
        config = botocore.config.Config(s3={"addressing_style": "path"}, signature_version="s3v4",
                                        proxies={})
        return boto3.client("s3", endpoint_url=self.settings["endpoint"], region_name=REGION,
                            aws_access_key_id=self.settings["access_key"],
                            aws_secret_access_key=self.settings["secret_key"], config=config)

    def signed_url(self, key):
        """A URL that any HTTP client may GET from, with any range."""
        return self.client().generate_presigned_url(
            "get_object", Params={"Bucket": BUCKET, "Key": key}, ExpiresIn=24 * 3600)


def upload_slice(settings, items):
    """PUTs [(key, path or None)] over one connection: boto3's own calls cost more than the
    gateway's, its signer does not."""
    signer = botocore.auth.S3SigV4Auth(
        botocore.credentials.Credentials(settings["access_key"], settings["secret_key"]),
        "s3", REGION)
    connection = http.client.HTTPConnection(settings["endpoint"].partition("//")[2], timeout=120)
    for key, path in items:
        body = b""
        if path:
            with open(path, "rb") as stream:
                body = stream.read()
        request = botocore.awsrequest.AWSRequest(
            "PUT", f"{settings['endpoint']}/{BUCKET}/{key}", data=body,
            headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
        request.context["payload_signing_enabled"] = False
        signer.add_auth(request)
        connection.request("PUT", f"/{BUCKET}/{key}", body, dict(request.headers))
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise Failed(f"PUT {key}: {response.status} {answer[:200]}")
    connection.close()


class Dataset:
    """@sizes: object (bytes), files, keys (counts). What an earlier run has left is used again when
    it has these sizes."""

    def __init__(self, server, directory, sizes, say):
        self.server = server
        self.raw = os.path.join(directory, "raw")
        self.note = os.path.join(server.directory, "dataset.json")
        self.sizes = sizes
        self.say = say

    def prepare(self, parts):
        there = {}
        try:
            with open(self.note, encoding="utf-8") as stream:
                there = json.load(stream)
        except OSError:
            self.server.client().create_bucket(Bucket=BUCKET)
        for part in parts:
            if there.get(part) == self.sizes[part]:
                continue
            if part in there:
                raise Failed(f"{self.server.directory} holds another size of '{part}': stop it")
            self.say(f"making and uploading: {part}, {self.sizes[part]:,}"
                     f"{' bytes' if part == 'object' else ''}")
            getattr(self, "make_" + part)()
            there[part] = self.sizes[part]
            with open(self.note, "w", encoding="utf-8") as stream:
                json.dump(there, stream)

    def path(self, key):
        return os.path.join(self.raw, key)

    def make_object(self):
        path = self.path("object/large")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        left = self.sizes["object"]
        with open(path, "wb") as stream:
            while left:
                left -= stream.write(os.urandom(min(left, 8 << 20)))
        transfer = boto3.s3.transfer.TransferConfig(multipart_chunksize=16 << 20,
                                                    max_concurrency=4)
        self.server.client().upload_file(path, BUCKET, "object/large", Config=transfer)

    def make_files(self):
        shutil.rmtree(self.path("files"), ignore_errors=True)
        items = []
        for index in range(self.sizes["files"]):
            key = file_key(index)
            path = self.path(key)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as stream:
                stream.write(os.urandom(FILE_LEN))
            items.append((key, path))
        self.upload(items)

    def make_keys(self):
        self.upload([(list_key(index), None) for index in range(self.sizes["keys"])])

    def upload(self, items):
        with concurrent.futures.ProcessPoolExecutor(UPLOADERS) as pool:
            work = [pool.submit(upload_slice, self.server.settings, items[first::UPLOADERS])
                    for first in range(UPLOADERS)]
            for part in work:
                part.result()
