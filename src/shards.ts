/**
 * All shards of an interface, seen from the main thread: starts their threads, has them divide the
 * interface without a frame lost or seen twice, adds up their counters, and ends them. A thread that
 * dies takes the program with it: going on without its share would be silent loss.
 */
import type { Options } from "./cli/options.ts";
import { RefusalError, ShardError } from "./errors.ts";
import type { Counters } from "./observe/counters.ts";
import type { ShardReport } from "./shard.ts";
import type { Answer, FromShard, ReportCall, ToShard } from "./shard-messages.ts";

export type StartThread = () => Worker;

export class Shards {
  private readonly threads: ShardThread[];
  /** Rejects when the machine refuses to go on (RefusalError) or a shard has died (ShardError). */
  readonly failure: Promise<never>;
  private readonly death = Promise.withResolvers<never>();
  private readonly refusal = Promise.withResolvers<never>();

  /** Shows in `counters` the sum of what all shards count. Throws RefusalError. */
  constructor(
    private readonly options: Options,
    private readonly counters: Counters,
    report: ShardReport,
    startThread: StartThread,
  ) {
    this.failure = Promise.race([this.death.promise, this.refusal.promise]);
    // Whoever waits for a shard waits for these, too; it is no error that nobody does just now.
    for (const promise of [this.failure, this.death.promise, this.refusal.promise]) promise.catch(() => {});
    const events: ThreadEvents = {
      told: ({ name, args }) => (report[name] as (...args: unknown[]) => void)(...args),
      counted: () => this.addUp(),
      refused: (error) => this.refusal.reject(error),
      died: (error) => this.death.reject(error),
    };
    this.threads = Array.from({ length: options.threads }, () => new ShardThread(started(startThread, options.threads), events));
  }

  /**
   * Starts capturing. Until all handles divide the interface, and accept, none takes a frame: it then
   * takes those since one moment, the same for all. Returns libpcap's name. Throws RefusalError, ShardError.
   */
  async start(): Promise<string> {
    const [first, ...others] = this.threads as [ShardThread, ...ShardThread[]];
    const open = { kind: "open", options: this.options, shards: this.threads.length } as const;
    const { libraryName, fanoutId } = await this.unlessFailed(first.ask({ ...open, fanoutId: null }, "opened"));
    await this.unlessFailed(askAll(others, { ...open, fanoutId }, "opened"));
    await this.unlessFailed(askAll(this.threads, { kind: "accept" }, "accepting"));
    const sinceMs = Date.now();
    for (const thread of this.threads) thread.say({ kind: "begin", sinceMs });
    return libraryName;
  }

  /** Stops capturing, has what was captured forwarded, and waits for its answers. Throws ShardError. */
  async stop(): Promise<void> {
    // All refuse before the first one leaves the group, or its flows would be dealt out anew.
    await this.unlessDead(askAll(this.threads, { kind: "refuse" }, "refusing"));
    await this.unlessDead(askAll(this.threads, { kind: "finish" }, "finished"));
  }

  /** What each shard has counted; empty before it has told. */
  get shares(): Counters[] {
    return this.threads.map(({ counters }) => counters).filter((counters) => counters !== undefined);
  }

  private unlessFailed<T>(answer: Promise<T>): Promise<T> {
    return Promise.race([answer, this.failure]);
  }

  private unlessDead<T>(answer: Promise<T>): Promise<T> {
    return Promise.race([answer, this.death.promise]);
  }

  private addUp(): void {
    this.counters.setToSum(this.shares);
  }
}

function started(startThread: StartThread, threads: number): Worker {
  try {
    return startThread();
  } catch (error) {
    throw new RefusalError(`Cannot start ${threads} threads: ${(error as Error).message}; allow more (ulimit -u, TasksMax of a service), or use fewer (--threads)`);
  }
}

function askAll<Kind extends Answer["kind"]>(threads: ShardThread[], message: ToShard, kind: Kind) {
  return Promise.all(threads.map((thread) => thread.ask(message, kind)));
}

interface ThreadEvents {
  told(call: ReportCall): void;
  counted(): void;
  refused(error: RefusalError): void;
  died(error: ShardError): void;
}

/** One shard's thread. */
class ShardThread {
  /** As the shard last told them. */
  counters: Counters | undefined;
  private awaited: { kind: Answer["kind"]; resolve: (answer: Answer) => void } | undefined;

  constructor(
    private readonly worker: Worker,
    private readonly events: ThreadEvents,
  ) {
    worker.onmessage = ({ data }: MessageEvent<FromShard>) => this.receive(data);
    worker.onerror = ({ message }) => events.died(new ShardError(`A thread has failed: ${message}`));
    worker.addEventListener("close", () => events.died(new ShardError("A thread has ended")));
  }

  say(message: ToShard): void {
    this.worker.postMessage(message);
  }

  /** Says something, and resolves with the answer; one at a time. */
  ask<Kind extends Answer["kind"]>(message: ToShard, kind: Kind): Promise<Extract<Answer, { kind: Kind }>> {
    return new Promise((resolve) => {
      this.awaited = { kind, resolve: (answer) => resolve(answer as Extract<Answer, { kind: Kind }>) };
      this.say(message);
    });
  }

  private receive(message: FromShard): void {
    if (message.kind === "told") {
      this.events.told(message.call);
    } else if (message.kind === "refused") {
      this.events.refused(new RefusalError(message.message));
    } else if (message.kind === "counters") {
      this.count(message.counters);
    } else {
      if (message.kind === "finished") this.count(message.counters);
      if (this.awaited?.kind === message.kind) this.awaited.resolve(message);
    }
  }

  private count(counters: Counters): void {
    this.counters = counters;
    this.events.counted();
  }
}
