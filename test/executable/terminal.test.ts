import { expect, test } from "bun:test";
import { PROGRAM, TemporaryDirectory } from "./program.ts";
import { RecordingEndpoint } from "./recording-endpoint.ts";
import { oneRequest, PORT, QUICK_TCP, REQUEST, VNI } from "./sessions.ts";

const CLEAR_LINE = "\r\u001b[K";

/** Runs the program on a terminal to its end. Returns everything that the terminal got. */
async function runOnTerminal(args: string[]): Promise<string> {
  const decoder = new TextDecoder();
  let shown = "";
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  const terminal = {
    cols: 80,
    rows: 24,
    data: (_terminal: unknown, bytes: Uint8Array) => {
      shown += decoder.decode(bytes, { stream: true });
    },
    exit: () => resolve(),
  };
  const running = Bun.spawn([PROGRAM, ...args], { env: { TERM: "xterm", PATH: process.env["PATH"] ?? "" }, terminal });
  expect(await running.exited).toBe(0);
  running.terminal?.close();
  await closed;
  return shown;
}

const forwarding = (capture: string, endpoint: RecordingEndpoint) => [
  ...QUICK_TCP,
  "--read",
  capture,
  String(VNI),
  String(PORT),
  endpoint.address,
];

test("on a terminal, --read shows its progress, and removes it before the totals", async () => {
  using directory = new TemporaryDirectory();
  using endpoint = new RecordingEndpoint();
  const shown = await runOnTerminal(forwarding(directory.file("one.pcap", oneRequest), endpoint));
  const [before, bar, after] = shown.split(CLEAR_LINE) as [string, string, string];
  expect(before).toContain("Reading ");
  expect(bar).toMatch(/^█+ 100 % {2}\d+\.\d MB, 3 frames, \d+\.\d MB\/s, 0 s left$/);
  expect(after).toContain("Totals: 3 frames captured");
  expect(endpoint.text()).toBe(REQUEST);
});

test("on a terminal, plain and json are still plain and json", async () => {
  using directory = new TemporaryDirectory();
  using endpoint = new RecordingEndpoint();
  const args = forwarding(directory.file("one.pcap", oneRequest), endpoint);
  for (const format of ["plain", "json"]) {
    const shown = await runOnTerminal(["--log-format", format, ...args]);
    expect(shown).not.toContain("\u001b");
    expect(shown).toContain("Totals: 3 frames captured");
  }
});
