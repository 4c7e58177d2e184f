/**
 * Third parties' captures that have both directions, compared with an endpoint that responds just as production did: no
 * difference; and with one that knows nothing: all are different, in status alone.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../executable/program.ts";
import { lengthIn, readReplies, type Replies } from "./replies.ts";
import { expectedStreams, wrap, WRAPPED_VNI } from "./shared.ts";

const directory = mkdtempSync(join(tmpdir(), "vxlan-to-http-"));
afterAll(() => rmSync(directory, { recursive: true }));

const NOT_FOUND = Buffer.from("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nX-Own: 1\r\n\r\nno");

/** Of one connection the SYN comes last, behind its FIN: whose its response is is not certain. */
const NOT_CERTAIN: Record<string, number> = { "plain-tuple-reuse.pcap port 80": 1 };

interface Capture {
  name: string;
  path: string;
  vni: number;
  port: number;
  replies: Replies;
}

/** One for each capture, VNI and port of which responses can be read. */
const captures: Capture[] = expectedStreams("comparisons of third parties' captures").flatMap(
  ({ name, path, vni, port }, i) => {
    const wrapped = vni === undefined ? join(directory, `${i}.pcap`) : path;
    if (vni === undefined) wrap([[path, wrapped, "--vni", String(WRAPPED_VNI)]]);
    const replies = readReplies(wrapped, port);
    return replies.size === 0 ? [] : [{ name, path: wrapped, vni: vni ?? WRAPPED_VNI, port, replies }];
  },
);

/** Responds to each request with what `replyTo` says. */
function listen(replyTo: (request: string) => Buffer) {
  return Bun.listen<{ text: string }>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => void (socket.data = { text: "" }),
      data(socket, bytes) {
        const { data } = socket;
        data.text += bytes.toString("latin1");
        for (let headEnd = data.text.indexOf("\r\n\r\n"); headEnd >= 0; headEnd = data.text.indexOf("\r\n\r\n")) {
          const head = data.text.slice(0, headEnd);
          const end = headEnd + 4 + lengthIn(head);
          if (data.text.length < end) return;
          data.text = data.text.slice(end);
          const reply = replyTo(head.slice(0, head.search(/ HTTP\//)));
          socket.write(reply);
          const replyHead = reply.toString("latin1", 0, reply.indexOf("\r\n\r\n"));
          if (!/^(content-length:|transfer-encoding: *chunked)|^HTTP\/1.. (204|304)/im.test(replyHead)) socket.end();
        }
      },
    },
  });
}

async function compare({ path, vni, port }: Capture, replyTo: (request: string) => Buffer) {
  const endpoint = listen(replyTo);
  const summary = join(directory, "summary.json");
  const args = ["--compare", "--fail-on-differences", "--summary", summary, "--read", path, String(vni), String(port)];
  try {
    const { status, stderr } = await run([...args, `127.0.0.1:${endpoint.port}`]);
    const { comparison, requests } = JSON.parse(readFileSync(summary, "utf8"));
    return { status, stderr, comparison, requests };
  } finally {
    endpoint.stop(true);
  }
}

test.skipIf(captures.length === 0)("there are captures to be compared", () =>
  expect(captures.length).toBeGreaterThan(3),
);

describe.each(captures)("$name", (capture) => {
  const replies = [...capture.replies.values()].flat();
  const count = replies.length - (NOT_CERTAIN[capture.name] ?? 0);

  test("an endpoint that responds as production did differs in nothing", async () => {
    const left = new Map([...capture.replies].map(([request, replies]) => [request, [...replies]]));
    const { status, comparison } = await compare(capture, (request) => left.get(request)?.shift() ?? NOT_FOUND);
    expect({ status, different: comparison.different, compared: comparison.compared }).toEqual({
      status: 0,
      different: 0,
      compared: count,
    });
  });

  test("one that responds 404 to all differs in all, in status alone", async () => {
    const { status, comparison } = await compare(capture, () => NOT_FOUND);
    expect({ status, different: comparison.different, compared: comparison.compared }).toEqual({
      status: 3,
      different: count,
      compared: count,
    });
    const kinds = comparison.routes.flatMap((route: any) => route.differences.map(({ kind }: any) => kind));
    expect(new Set(kinds)).toEqual(new Set(["status"]));
  });
});
