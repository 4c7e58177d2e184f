/** Several savefiles at their own pace, more than once: the executable, and a real server. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { pcap } from "../support/frames.ts";
import { run, TemporaryDirectory } from "./program.ts";
import { PORT, session, VNI } from "./sessions.ts";

const CONNECTIONS = 10;
/** From a connection's SYN to its end, at twice the speed. */
const SPAN_MS = 300;

test("one connection in several files, compressed and out of order, forwarded twice, and no request too early", async () => {
  using directory = new TemporaryDirectory();
  const frames = Array.from({ length: CONNECTIONS }, (_, c) =>
    session(
      [0, 1].map((n) => `GET /${c}/${n} HTTP/1.1\r\nHost: a\r\n\r\n`),
      40_000 + c,
    ).map((frame, i) => ({ ...frame, timestampMs: frame.timestampMs + i * ((2 * SPAN_MS) / 3) + c })),
  )
    .flat()
    .toSorted((a, b) => a.timestampMs - b.timestampMs);
  const part = (n: number) => pcap(frames.filter((_, i) => Math.floor((i * 3) / frames.length) === n));
  const paths = [zstdCompressSync(part(2)), gzipSync(part(1)), part(0)].map((content, i) =>
    directory.file(`${i}`, content),
  );
  const seen: string[] = [];
  using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => {
      seen.push(new URL(request.url).pathname);
      return new Response("served");
    },
  });
  const summary = join(directory.path, "summary.json");
  const began = performance.now();
  const { status, stderr } = await run([
    ...paths.flatMap((path) => ["--read", path]),
    ...["--speed", "2", "--loop", "2", "--summary", summary],
    ...[String(VNI), String(PORT), `127.0.0.1:${server.port}`],
  ]);
  expect(status, stderr).toBe(0);
  expect(performance.now() - began).toBeGreaterThan(2 * SPAN_MS);
  const want = Array.from({ length: CONNECTIONS }, (_, c) => [`/${c}/0`, `/${c}/1`]).flat();
  expect(seen.toSorted()).toEqual([...want, ...want].toSorted());
  const { flows, schedule, requests } = await Bun.file(summary).json();
  expect(flows).toMatchObject({ opened: 2 * CONNECTIONS, picked_up: 0, closed: 2 * CONNECTIONS });
  expect(schedule.on_time + schedule.late + schedule.held).toBe(2 * frames.length);
  expect(requests.answered).toBe(4 * CONNECTIONS);
});
