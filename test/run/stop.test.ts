/** The request to stop, during any wait. */
import { expect, test } from "bun:test";
import { Stop } from "../../src/run/stop.ts";
import { drain, DRAIN_MS } from "../../src/shard/drain.ts";
import type { Shard } from "../../src/shard/shard.ts";

const never = () => new Promise<never>(() => {});

test("without a stop, the wait gives the promise's result", async () => {
  const stop = new Stop();
  expect(await stop.unless(Promise.resolve(7))).toBe(7);
  expect(stop.unless(Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(stop.requested).toBe(false);
});

test("a stop ends all present and later waits at once", async () => {
  const stop = new Stop();
  const waiting = [stop.unless(never()), stop.unless(never())];
  stop.request();
  expect(stop.requested).toBe(true);
  expect(await Promise.all(waiting)).toEqual([undefined, undefined]);
  expect(await stop.unless(never())).toBeUndefined();
});

test("a failure after the stop is no error", async () => {
  const stop = new Stop();
  const late = Promise.withResolvers<number>();
  const waiting = stop.unless(late.promise);
  stop.request();
  late.reject(new Error("too late"));
  expect(await waiting).toBeUndefined();
  // Bun's test runner fails a test with an unhandled rejection.
  await Bun.sleep(0);
});

test("after a stop, responses may come in for so long, and no longer", async () => {
  const terminatedMs: number[] = [];
  const stop = { requested: false };
  const stoppedMs = 10 * DRAIN_MS;
  // Until the stop, any time may pass.
  const times = [0, stoppedMs - 1, stoppedMs, stoppedMs + DRAIN_MS - 1, stoppedMs + DRAIN_MS];
  let nowMs = 0;
  const shard = {
    isSettled: false,
    giveUpSilent: () => {},
    tick: () => {
      stop.requested = nowMs === stoppedMs - 1 || stop.requested;
    },
    terminate: () => {
      terminatedMs.push(nowMs);
      shard.isSettled = true;
    },
  };
  await drain(shard as unknown as Shard, () => (nowMs = times.shift()!), stop);
  expect(terminatedMs).toEqual([stoppedMs + DRAIN_MS]);
});
