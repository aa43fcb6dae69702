"""A recorder as one writes it first: `websockets` and `json`, a line for each message.

python3 websockets_lines.py URL MESSAGES FILE        (pip install websockets)
"""

import asyncio
import json
import sys
import time

import websockets


async def main(url, messages, path):
    async with websockets.connect(url, compression=None, ping_interval=None) as socket:
        with open(path, "w") as out:
            for _ in range(messages):
                frame = json.loads(await socket.recv())
                line = {"recv_ns": time.time_ns(), "conn": 1, "frame": frame}
                out.write(json.dumps(line, separators=(",", ":")) + "\n")


asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
