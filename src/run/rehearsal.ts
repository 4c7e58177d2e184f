/**
 * Code that has not run yet is slow, because it is not compiled: the first requests of a schedule (--speed) would be
 * late. So the beginning of the savefiles is first forwarded once to no endpoint, before the schedule begins.
 */
import { statSync } from "node:fs";
import { openSavefiles } from "../capture/savefiles.ts";
import type { Config } from "../config.ts";
import { RefusalError } from "../errors.ts";
import type { Connector, SocketEvents, UpstreamSocket } from "../forward/socket.ts";
import { Counters } from "../observe/counters.ts";
import { turn } from "../shard/drain.ts";
import { shardOptions } from "../shard/setup.ts";
import { Shard, type ShardReport } from "../shard/shard.ts";

/** Enough records to compile the code that runs for each record and request. */
const RECORDS_MAX = 4096;
/** As few records at a time as come at a schedule's pace. */
const BATCH_RECORDS_MAX = 16;
/** The longest rehearsal, on any machine. */
const REHEARSAL_MS_MAX = 1000;

const RESPONSE = new TextEncoder().encode("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");

/** Takes all requests, and responds to them. */
class Nobody implements UpstreamSocket {
  constructor(private readonly events: SocketEvents) {}

  write(_bytes: Uint8Array, _offset: number, length: number): number {
    queueMicrotask(() => this.events.received(RESPONSE));
    return length;
  }

  shutdown(): void {
    queueMicrotask(() => {
      this.events.ended();
      this.events.closed(undefined);
    });
  }

  terminate(): void {}
}

const toNobody: Connector = {
  connect: (_address, events) => queueMicrotask(() => events.opened(new Nobody(events))),
  lookup: (name, found) => queueMicrotask(() => found([name])),
  afterEvents: (callback) => void setImmediate(callback),
};

const untold: ShardReport = {
  outageBegan() {},
  outageEnded() {},
  speaksNot() {},
  speaks() {},
  givenUp() {},
  broken() {},
  foreign() {},
  recordFailed() {},
  fileFailed() {},
};

/** Rehearses; does nothing if the savefiles cannot be read twice. */
export async function rehearse(config: Config, paths: readonly string[], now: () => number): Promise<void> {
  if (config.follow || !paths.every((path) => path !== "-" && statSync(path).isFile())) return;
  const source = await openSavefiles(paths, false, () => {});
  const endMs = now() + REHEARSAL_MS_MAX;
  const shard = new Shard(shardOptions(config, 1), new Counters(config.also.map(() => "")), untold, toNobody, now);
  try {
    for (let left = RECORDS_MAX; left > 0 && now() < endMs && (await source.fill());) {
      for (let more = true; more && left > 0 && now() < endMs; left -= BATCH_RECORDS_MAX) {
        more = shard.process(source, BATCH_RECORDS_MAX);
        await turn();
      }
    }
  } catch (error) {
    // Errors of the savefiles are reported when they are read.
    if (!(error instanceof RefusalError)) throw error;
  }
  shard.terminate();
  source.close();
}
