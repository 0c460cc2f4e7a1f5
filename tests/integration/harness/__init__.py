"""The harness of the integration tests: real daemons, real mounts, a real S3 server.

    scratch    a directory for one test run, and the sweep of what earlier runs left behind
    s3server   the Ceph RADOS Gateway of tests/integration/s3-server, and buckets in it
    proxy      a proxy in front of it that counts requests and breaks what it is told to break
    node       cenoted with its configuration, status, and ways to end or to lose a part of it
    group      its processes
    network    hosts: network namespaces at a bridge, whose links can be cut and can lose packets
    cluster    nodes in them that are members of one cluster
    program    a program that runs beside the test: its output, signals, its end
    cgroup     a control group with a limit of memory
    container  a mount namespace that sees a part of the tree
    manager    a service manager that is told of states and keeps descriptors
    disk       small file systems on loop devices, that can be filled and can fail
    content    bytes that know where they belong
    names      a tree of names, and how a program is refused
    reader     reads in processes of their own, with a bound
    readers    reads in all ways at once, verifies every byte, times every call
    load       reads many files, and times each access
    kills      the base class of tests in which a part of a daemon dies under such readers
    case       the base class of the tests, and main()

Nothing here sleeps for a fixed time: wait.until() waits for an event, with a bound.
"""
