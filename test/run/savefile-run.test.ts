/** A run over a source that is read piece by piece for a long time. */
import { expect, spyOn, test } from "bun:test";
import { readRequest } from "../../src/cli/options.ts";
import { Clock } from "../../src/clock.ts";
import { Counters } from "../../src/observe/counters.ts";
import { Log } from "../../src/observe/log.ts";
import { RunReport } from "../../src/observe/report.ts";
import type { WaitingSource } from "../../src/capture/record-source.ts";
import { SavefileRun } from "../../src/run/savefile-run.ts";
import { Stop } from "../../src/run/stop.ts";

const READS = 1_000_000;
/** By then the code is compiled, and the heap has its final size. */
const WARM_UP_READS = 200_000;
/** A leak of Promise.race was at least 70 bytes a read. */
const GROWTH_BYTES_MAX = 60e6;

/** One record a read, not ours, as `tcpdump -U` delivers them in a pipe. */
class Trickle implements WaitingSource {
  close(): void {}

  readonly bytes = new Uint8Array(60);
  readonly view = new DataView(this.bytes.buffer);
  readonly linkType = 1;
  readonly offset = 0;
  readonly length = 60;
  readonly timestampMs = 0;
  position = 0;
  private hasRecord = false;
  private warmBytes = 0;
  grownBytes = 0;

  async fill(): Promise<boolean> {
    this.position++;
    this.hasRecord = true;
    if (this.position === WARM_UP_READS) this.warmBytes = residentBytes();
    if (this.position < READS) return true;
    this.grownBytes = residentBytes() - this.warmBytes;
    return false;
  }

  next(): boolean {
    const had = this.hasRecord;
    this.hasRecord = false;
    return had;
  }
}

function residentBytes(): number {
  Bun.gc(true);
  return process.memoryUsage.rss();
}

function runOver(source: WaitingSource) {
  const request = readRequest(["--read", "-", "42", "80", "localhost:8080"], {});
  if (request.kind !== "run") throw new Error("not a run");
  const counters = new Counters();
  const clock = new Clock();
  const report = new RunReport(
    new Log("silent", "plain", clock.now),
    counters,
    { ...request.config, vnis: [42] },
    clock.now,
  );
  return {
    counters,
    run: new SavefileRun({ config: request.config, clock, counters, report, comparison: null }, source),
  };
}

test(`memory does not grow over ${READS} reads`, async () => {
  const source = new Trickle();
  const { counters, run } = runOver(source);
  await run.run(new Stop());
  // The last read reports the end.
  expect(counters.frames.captured).toBe(READS - 1);
  expect(source.grownBytes).toBeLessThan(GROWTH_BYTES_MAX);
}, 120_000);

test("a stop ends a read without a result, and a later result is ignored", async () => {
  const pending = Promise.withResolvers<boolean>();
  const source = new Trickle();
  spyOn(source, "fill").mockImplementation(() => pending.promise);
  const { counters, run } = runOver(source);
  const stop = new Stop();
  const running = run.run(stop);
  stop.request();
  await running;
  await run.finish(stop);
  pending.resolve(true);
  await Bun.sleep(0);
  expect(counters.frames.captured).toBe(0);
});
