"""stopwatch.py CONNINFO STEP: when each wake-up for the step arrives.

Ends with the first line on its input, and prints a line for each: sequence,
monotonic nanoseconds.
"""

import json
import select
import sys
import time

import psycopg


def main() -> None:
    """Listen until told to end."""
    connection = psycopg.connect(sys.argv[1], autocommit=True)
    connection.execute("LISTEN tasker_checkpoint")
    step = sys.argv[2].encode()
    heard = []
    print("listening", flush=True)
    server = connection.pgconn
    while True:
        ready, _, _ = select.select([server.socket, sys.stdin], [], [])
        if server.socket in ready:
            server.consume_input()
            now = time.monotonic_ns()
            while (notification := server.notifies()) is not None:
                if step in notification.extra:
                    heard.append((notification.extra, now))
        if sys.stdin in ready:
            break
    for payload, at in heard:
        print(json.loads(payload)["sequence"], at)


if __name__ == "__main__":
    main()
