/** Threads that start and fail: the program notices every failure. */
import { expect, test } from "bun:test";
import { availableParallelism } from "node:os";
import { readRequest } from "../../src/cli/options.ts";
import type { Config } from "../../src/config.ts";
import { RefusalError, ShardError } from "../../src/errors.ts";
import { Counters } from "../../src/observe/counters.ts";
import { Shards } from "../../src/shard/shards.ts";
import { Stop } from "../../src/run/stop.ts";
import { UNTOLD } from "../support/untold.ts";

function config(threads: number): Config {
  const request = readRequest(["--threads", String(threads), "eth0", "42", "80", "localhost:8080"], {});
  if (request.kind !== "run") throw new Error("not a run");
  return request.config;
}

async function failureOf(how: string): Promise<Error> {
  const workers: Worker[] = [];
  const startThread = () => {
    const worker = new Worker(new URL("./failing-thread.ts", import.meta.url), { env: { HOW: how } });
    workers.push(worker);
    return worker;
  };
  try {
    const shards = new Shards(config(2), new Counters(), UNTOLD, startThread);
    await shards.start(new Stop());
    return await shards.failure;
  } catch (error) {
    return error as Error;
  } finally {
    for (const worker of workers) worker.terminate();
  }
}

test.each([
  ["throws", /^A thread failed: .*error: a bug/s],
  ["rejects", /^A thread failed: .*error: a bug/s],
  ["exits", /^A thread ended$/],
])("a thread that %s is noticed", async (how: string, message: RegExp) => {
  const failure = await failureOf(how);
  expect(failure.message).toMatch(message);
  expect(failure).toBeInstanceOf(ShardError);
});

test("a refusal of the machine in a thread is reported unchanged", async () => {
  const failure = await failureOf("refuses");
  expect(failure).toBeInstanceOf(RefusalError);
  expect(failure.message).toBe("Cannot capture on eth0: it is gone");
});

test("a thread that the system does not start is reported, with advice", () => {
  const startThread = () => {
    throw new TypeError("Failed to spawn worker thread");
  };
  const start = () => new Shards(config(2), new Counters(), UNTOLD, startThread).start(new Stop());
  expect(start()).rejects.toThrow(RefusalError);
  expect(start()).rejects.toThrow(/^Cannot start 2 threads: Failed to spawn worker thread; .*--threads/);
});

test.each([1, 3, 100])(
  "a stop when %i of 256 threads are started: those give the interface back, and no more are started",
  async (count) => {
    const workers: Worker[] = [];
    const said: string[] = [];
    const stop = new Stop();
    const startThread = () => {
      const worker = new Worker(new URL("./starting-thread.ts", import.meta.url));
      workers.push(worker);
      worker.addEventListener("message", ({ data }: MessageEvent<{ kind: string }>) => said.push(data.kind));
      if (workers.length === count) stop.request();
      return worker;
    };
    try {
      expect(await new Shards(config(256), new Counters(), UNTOLD, startThread).start(stop)).toBeUndefined();
      expect(workers.length).toBeWithin(count, count + availableParallelism());
      expect(said.filter((kind) => kind === "closed")).toHaveLength(workers.length);
      expect(said).not.toContain("accepting");
    } finally {
      for (const worker of workers) worker.terminate();
    }
  },
  30_000,
);
