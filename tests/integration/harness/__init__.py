"""The harness of the integration tests: real daemons, real mounts, a real S3 server.

    scratch    a directory for one test run, and the sweep of what earlier runs left behind
    s3server   the Ceph RADOS Gateway of tests/integration/s3-server, and buckets in it
    proxy      a proxy in front of it that counts requests and breaks what it is told to break
    node       cenoted with its configuration, status, and ways to end
    network    hosts: network namespaces at a bridge, whose links can be cut and can lose packets
    cluster    nodes in them that are members of one cluster
    program    a program that runs beside the test: its output, signals, its end
    disk       small file systems on loop devices, that can be filled and can fail
    content    bytes that know where they belong
    reader     reads in processes of their own, with a bound
    load       reads many files, and times each access
    case       the base class of the tests, and main()

Nothing here sleeps for a fixed time: wait.until() waits for an event, with a bound.
"""
