/**
 * Third parties' captures with both directions, compared with an endpoint that responds exactly as production did: no
 * difference. And with an endpoint that knows no page: all responses differ, only in the status.
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

const notFound = (code: number) => Buffer.from(`HTTP/1.1 ${code} No\r\nContent-Length: 2\r\nX-Own: 1\r\n\r\nno`);
const [NOT_FOUND, GONE] = [notFound(404), notFound(410)];

/** On one connection the SYN comes last, after its FIN: the owner of its response is not certain. */
const NOT_CERTAIN: Record<string, number> = { "plain-tuple-reuse.pcap port 80": 1 };

interface Capture {
  name: string;
  path: string;
  vni: number;
  port: number;
  replies: Replies;
}

const expected = expectedStreams("comparisons of third parties' captures");
/** SSH. */
const WITHOUT_HTTP = ["aws-mirror.pcap VNI 5569041 port 22"];
/** One for each capture, VNI and port with readable responses. */
const captures: Capture[] = expected.flatMap(({ name, path, vni, port }, i) => {
  const wrapped = vni === undefined ? join(directory, `${i}.pcap`) : path;
  if (vni === undefined) wrap([[path, wrapped, "--vni", String(WRAPPED_VNI)]]);
  const replies = readReplies(wrapped, port);
  return replies.size === 0 ? [] : [{ name, path: wrapped, vni: vni ?? WRAPPED_VNI, port, replies }];
});

/** Responds to each request with the result of `replyTo`. */
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

test.skipIf(expected.length === 0)("all captures that have requests and responses are compared", () => {
  const compared = new Set(captures.map(({ name }) => name));
  expect(expected.map(({ name }) => name).filter((name) => !compared.has(name))).toEqual(WITHOUT_HTTP);
});

describe.each(captures)("$name", (capture) => {
  const replies = [...capture.replies.values()].flat();
  const count = replies.length - (NOT_CERTAIN[capture.name] ?? 0);

  test("an endpoint with production's responses differs in nothing", async () => {
    const left = new Map([...capture.replies].map(([request, replies]) => [request, [...replies]]));
    const { status, comparison } = await compare(capture, (request) => left.get(request)?.shift() ?? NOT_FOUND);
    expect({ status, different: comparison.different, compared: comparison.compared }).toEqual({
      status: 0,
      different: 0,
      compared: count,
    });
  });

  test("an endpoint with 404 for all requests differs in all responses, only in the status", async () => {
    // If production itself sent 404, another status.
    const isNotFound = replies.some((reply) => /^HTTP\/1.. 404/.test(reply.toString("latin1")));
    const { status, comparison } = await compare(capture, () => (isNotFound ? GONE : NOT_FOUND));
    expect({ status, different: comparison.different, compared: comparison.compared }).toEqual({
      status: 3,
      different: count,
      compared: count,
    });
    const kinds = comparison.routes.flatMap((route: any) => route.differences.map(({ kind }: any) => kind));
    expect(new Set(kinds)).toEqual(new Set(["status"]));
  });
});
