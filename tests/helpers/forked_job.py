"""`python forked_job.py SOCKET SCRIPT`: run a script in a process forked by the server behind a socket, as if here."""

import os
import socket
import sys

with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    said = "\0".join([os.getcwd(), sys.argv[2], *(f"{key}={value}" for key, value in os.environ.items())]).encode()
    socket.send_fds(server, [len(said).to_bytes(8, "big")], [1, 2])
    server.sendall(said)
    status = server.recv(1)
sys.exit(status[0] if status else f"the process that was forked for {sys.argv[2]} died")
