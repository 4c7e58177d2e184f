/** The rehearsal before a schedule connects to no endpoint, for any input. */
import { expect, test } from "bun:test";
import { readRequest } from "../../src/cli/options.ts";
import { rehearse } from "../../src/run/rehearsal.ts";
import { pcap } from "../support/frames.ts";
import { TemporaryDirectory } from "../executable/program.ts";
import { PORT, session, VNI } from "../executable/sessions.ts";

const SESSIONS = 50;
const sessions = pcap(
  Array.from({ length: SESSIONS }, (_, i) =>
    session(
      ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123"],
      1024 + i,
    ),
  ).flat(),
);

const FLAGS: string[][] = [
  [],
  ["--mode", "tcp"],
  ["--compare", "--also", "file:requests.har"],
  ["--max-rate", "1", "--set-header", "X: y"],
];

test.each(FLAGS.map((flags) => [flags]))("%j: no connection is made, and nothing is written", async (flags) => {
  using directory = new TemporaryDirectory();
  const capture = directory.file("mirror.pcap", sessions);
  let connections = 0;
  using endpoint = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { open: () => void connections++, data() {} },
  });
  const places = flags.map((flag) => flag.replace("file:", `file:${directory.path}/`));
  const args = [...places, "--read", capture, "--speed", "1", String(VNI), String(PORT), `127.0.0.1:${endpoint.port}`];
  const request = readRequest(args, {});
  if (request.kind !== "run") throw new Error("not a run");
  await rehearse(request.config, [capture], () => performance.now());
  expect(connections).toBe(0);
  expect([...new Bun.Glob("*").scanSync(directory.path)]).toEqual(["mirror.pcap"]);
});

const BROKEN: [what: string, content: Uint8Array][] = [
  ["empty", new Uint8Array(0)],
  ["no capture", new TextEncoder().encode("no capture at all, but text")],
  ["cut off", sessions.slice(0, 1000)],
];

test.each(BROKEN)("a fault of a savefile is reported when it is read: %s", async (_what, content) => {
  using directory = new TemporaryDirectory();
  const capture = directory.file("mirror.pcap", content);
  const request = readRequest(["--read", capture, "--speed", "1", String(VNI), String(PORT), "127.0.0.1:1"], {});
  if (request.kind !== "run") throw new Error("not a run");
  expect(await rehearse(request.config, [capture], () => performance.now())).toBeUndefined();
});

test("a pipe is not read, because its bytes come only once", async () => {
  const request = readRequest(["--read", "-", "--speed", "1", String(VNI), String(PORT), "127.0.0.1:1"], {});
  if (request.kind !== "run") throw new Error("not a run");
  expect(await rehearse(request.config, ["-"], () => performance.now())).toBeUndefined();
});
