/**
 * All shards of an interface, seen from the main thread: starts their threads, makes them share the interface without a
 * frame lost or seen twice, adds up their counters, and ends them. If a thread dies, the program ends: to go on without
 * its share would be silent loss.
 */
import { availableParallelism } from "node:os";
import type { Tally } from "../compare/tally.ts";
import type { Config } from "../config.ts";
import { RefusalError, ShardError } from "../errors.ts";
import { OwnConnections } from "../forward/own-connections.ts";
import type { Counters } from "../observe/counters.ts";
import { type Gauges, together } from "../observe/gauges.ts";
import { sharedRate } from "../policy/rate.ts";
import type { ShardReport } from "./shard.ts";
import type { Answer, FromShard, ReportCall, ToShard } from "./messages.ts";
import type { Stopping } from "./drain.ts";

/**
 * How many threads do long work at a time: more than there are cores would only slow each other, and the main thread.
 */
const AT_ONCE = availableParallelism();

/** Starts a shard's thread. */
export type StartThread = () => Worker;

/** The shards of an interface, each in its thread. */
export class Shards {
  private readonly threads: ShardThread[] = [];
  /** Rejects when the machine refuses to go on (RefusalError) or a shard has died (ShardError). */
  readonly failure: Promise<never>;
  private readonly events: ThreadEvents;
  private readonly death = Promise.withResolvers<never>();
  private readonly refusal = Promise.withResolvers<never>();

  /** Sets `counters` to the sum of all shards' counters when {@link addUp} is called. */
  constructor(
    private readonly config: Config,
    private readonly counters: Counters,
    report: ShardReport,
    private readonly startThread: StartThread,
    /** Takes the lines of --differences. */
    differences: (lines: string[]) => void = () => {},
  ) {
    this.failure = Promise.race([this.death.promise, this.refusal.promise]);
    // A caller that waits for a shard waits for these promises, too; it is no error if there is no such caller now.
    for (const promise of [this.failure, this.death.promise, this.refusal.promise]) promise.catch(() => {});
    this.events = {
      told: ({ name, args }) => (report[name] as (...args: unknown[]) => void)(...args),
      differences,
      refused: (error) => this.refusal.reject(error),
      died: (error) => this.death.reject(error),
    };
  }

  /**
   * Makes all handles share the interface, and accept; none takes a frame until {@link begin}. Returns libpcap's name;
   * undefined: `stop` was requested, and no frame is captured. Throws RefusalError, ShardError.
   */
  async start(stop: Stopping): Promise<string | undefined> {
    return Promise.race([this.startAll(stop), this.failure]);
  }

  /** Starts capturing: all take the frames from the same moment on. */
  begin(): void {
    const sinceMs = Date.now();
    for (const thread of this.threads) thread.say({ kind: "begin", sinceMs });
  }

  /** Stops capturing, forwards all captured frames, and waits for the responses. Throws ShardError. */
  async stop(): Promise<void> {
    // All reject before the first one leaves the group; else its flows would go to other handles.
    await this.unlessDead(askAll(this.threads, { kind: "reject" }, "rejecting"));
    await this.unlessDead(askAll(this.threads, { kind: "finish" }, "finished"));
  }

  /**
   * Adds up the counters. This is not done at each report of a shard: n shards report n times a second, and each sum
   * takes n steps.
   */
  addUp(): void {
    this.counters.setToSum(this.shares);
  }

  /** Each shard's comparisons, from its last report. */
  get tallies(): Tally[] {
    return this.threads.map(({ tally }) => tally).filter((tally) => tally !== undefined);
  }

  /** Each shard's counters; empty before its first report. */
  get shares(): Counters[] {
    return this.threads.map(({ counters }) => counters).filter((counters) => counters !== undefined);
  }

  /** The gauges of all shards together. */
  get gauges(): Gauges {
    return together(this.threads.map(({ gauges }) => gauges).filter((gauges) => gauges !== undefined));
  }

  /** Starts all threads. It stops if one fails. */
  private async startAll(stop: Stopping): Promise<string | undefined> {
    const { config, threads } = this;
    const own = config.encapsulation === "none" ? new OwnConnections().shared : null;
    const open = {
      kind: "open",
      config,
      shards: config.threads,
      shared: { rate: sharedRate(), own, threads: new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT) },
    } as const;
    const [first, ...others] = this.startSome() as [ShardThread, ...ShardThread[]];
    // The first thread makes the group, and the others join it.
    const { libraryName, fanoutId } = await first.ask({ ...open, fanoutId: null }, "opened");
    for (let joining = others; ; joining = this.startSome()) {
      await askAll(joining, { ...open, fanoutId }, "opened");
      if (stop.requested) return this.giveBack();
      if (threads.length === config.threads) break;
    }
    for (let i = 0; i < threads.length; i += AT_ONCE) {
      await askAll(threads.slice(i, i + AT_ONCE), { kind: "accept" }, "accepting");
      if (stop.requested) return this.giveBack();
    }
    return libraryName;
  }

  /** Closes all handles, each in its thread: the kernel takes 40 ms for one, and would take them in turn at the end. */
  private async giveBack(): Promise<undefined> {
    await askAll(this.threads, { kind: "close" }, "closed");
  }

  private startSome(): ShardThread[] {
    const count = Math.min(this.config.threads - this.threads.length, AT_ONCE);
    const started = Array.from({ length: count }, () => new ShardThread(this.startedThread(), this.events));
    this.threads.push(...started);
    return started;
  }

  /** Throws RefusalError. */
  private startedThread(): Worker {
    try {
      return this.startThread();
    } catch (error) {
      const why = `Cannot start ${this.config.threads} threads: ${(error as Error).message}`;
      throw new RefusalError(`${why}; allow more (ulimit -u, TasksMax of a service), or use fewer (--threads)`);
    }
  }

  private unlessDead<T>(answer: Promise<T>): Promise<T> {
    return Promise.race([answer, this.death.promise]);
  }
}

function askAll<Kind extends Answer["kind"]>(threads: ShardThread[], message: ToShard, kind: Kind) {
  return Promise.all(threads.map((thread) => thread.ask(message, kind)));
}

interface ThreadEvents {
  told(call: ReportCall): void;
  differences(lines: string[]): void;
  refused(error: RefusalError): void;
  died(error: ShardError): void;
}

/** One shard's thread. */
class ShardThread {
  /** The counters of the shard's last report. */
  counters: Counters | undefined;
  tally: Tally | undefined;
  gauges: Gauges | undefined;
  private awaited: { kind: Answer["kind"]; resolve: (answer: Answer) => void } | undefined;

  constructor(
    private readonly worker: Worker,
    private readonly events: ThreadEvents,
  ) {
    worker.onmessage = ({ data }: MessageEvent<FromShard>) => this.receive(data);
    worker.onerror = ({ message }) => events.died(new ShardError(`A thread failed: ${message}`));
    worker.addEventListener("close", () => events.died(new ShardError("A thread ended")));
  }

  say(message: ToShard): void {
    this.worker.postMessage(message);
  }

  /** Sends a message, and resolves with the answer; one at a time. */
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
    } else if (message.kind === "compared") {
      this.tally = message.tally;
      this.events.differences(message.lines);
    } else {
      if (message.kind === "counters" || message.kind === "finished") {
        this.counters = message.counters;
        this.gauges = message.gauges;
      }
      if (this.awaited?.kind === message.kind) this.awaited.resolve(message);
    }
  }
}
