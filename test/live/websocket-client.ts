/**
 * A WebSocket session: sends messages of many sizes, text and binary, each after the previous one has come back, and
 * closes. Exits with 1 if a message comes back changed.
 *
 *     bun websocket-client.ts URL
 */
import { deepEquals } from "bun";

/** Around the steps of the frame's length field (RFC 6455, section 5.2), and more than a segment. */
const SIZES = [0, 1, 125, 126, 127, 1000, 65_535, 65_536, 200_000];
const messages = SIZES.flatMap((size) => ["x".repeat(size), crypto.getRandomValues(Buffer.alloc(size % 65_536))]);

const socket = new WebSocket(process.argv[2]!);
socket.binaryType = "nodebuffer";
let next = 0;
socket.onopen = () => void socket.send(messages[0]!);
socket.onmessage = ({ data }) => {
  if (!deepEquals(data, messages[next])) process.exit(1);
  next++;
  if (next < messages.length) socket.send(messages[next]!);
  else socket.close(1000, "done");
};
socket.onclose = ({ code }) => process.exit(code === 1000 && next === messages.length ? 0 : 1);
