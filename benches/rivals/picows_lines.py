"""The fastest recorder in Python: `picows` and `orjson`, a line for each message.

python3 picows_lines.py URL MESSAGES FILE        (pip install picows orjson)
"""

import asyncio
import sys
import time

import orjson
from picows import WSListener, WSMsgType, ws_connect


class Recorder(WSListener):
    def __init__(self, messages, out):
        self.left = messages
        self.out = out

    def on_ws_frame(self, transport, frame):
        if frame.msg_type != WSMsgType.TEXT:
            return
        message = orjson.loads(frame.get_payload_as_memoryview())
        line = {"recv_ns": time.time_ns(), "conn": 1, "frame": message}
        self.out.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        self.left -= 1
        if self.left == 0:
            transport.disconnect()


async def main(url, messages, path):
    with open(path, "wb", buffering=1 << 20) as out:
        transport, _ = await ws_connect(lambda: Recorder(messages, out), url)
        await transport.wait_disconnected()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
