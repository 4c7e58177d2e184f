/** The kind of world of a seed with HTTP clients: knobs in addition to those of ../scenario.ts. */
import { Random } from "../../support/random.ts";
import { type Scenario, scenarioOf } from "../scenario.ts";
import { NO_POLICY, type SimulatedPolicy, simulatedPolicy } from "./policies.ts";
import type { SessionKnobs } from "./session.ts";

export interface HttpScenario extends Scenario {
  readonly session: SessionKnobs;
  /** The endpoint does nothing that could cost a request. */
  readonly isBenign: boolean;
  readonly pipelineDepth: number;
  readonly maxWaitingRequests: number;
  readonly maxRequestBytes: number;
  readonly responseTimeoutMs: number;
  readonly addsField: boolean;
  readonly policy: SimulatedPolicy;
  /** A source that can wait does so if requests pile up (--read). */
  readonly canWait: boolean;
  /** The time after the end of the capture when everything is given up; Infinity: never. */
  readonly stopAfterMs: number;

  // The endpoint's behaviour; each is a probability.
  /** For a connection: it ends after some responses. */
  readonly closing: number;
  /** For a connection: a fault at one of its requests. */
  readonly mischief: number;
  /** It ends every connection when it has a request. */
  readonly isDown: boolean;
  /** For a request: its response comes before it is whole. */
  readonly early: number;
  /** For a response: 1xx before it. */
  readonly interim: number;
  readonly upgrading: number;
  /** For a response: it is odd in a way that has no effect. */
  readonly dressing: number;
  readonly answerMsMax: number;
}

export function httpScenarioOf(seed: number, hasPolicy = true): HttpScenario {
  const random = new Random(seed ^ 0x477);
  /** Later additions have their own random source, so that seeds keep most of their meaning. */
  const oddity = new Random(seed ^ 0x0dd17);
  const nesting = new Random(seed ^ 0x1e57ed);
  const choosing = new Random(seed ^ 0x9011c7);
  const policy = hasPolicy && choosing.chance(0.4) ? simulatedPolicy(choosing) : NO_POLICY;
  const sometimes = (probability: number, value: () => number) => (random.chance(probability) ? value() : 0);
  const isBenign = random.chance(0.4);
  const harm = (probability: number, value: () => number) => (isBenign ? 0 : sometimes(probability, value));
  const scenario = scenarioOf(seed);
  /** Large requests that take their time, so that much can happen on their way. */
  const isUploading = random.chance(0.25);
  const responseTimeoutMs = isBenign ? 3000 : random.pick([300, 1000, 3000]);
  return {
    ...scenario,
    connections: random.pick([1, 2, 5, 10]),
    segmentBytesMax: random.pick(isUploading ? [536, 1460] : [20, 200, 536, 1460, 8900]),
    pauseMsMax: isUploading ? 40 : scenario.pauseMsMax,
    // The world of streams has connections with the same addresses and ports.
    reuse: "none",
    probe: 0,
    harm: harm(0.3, () => random.next() * 0.4),
    outage: harm(0.3, () => random.next() * 0.5),
    session: {
      requestsMax: random.pick([1, 3, 10, 25]),
      bodyBytesMax: isUploading ? 15_000 : random.pick([100, 2000, 15_000]),
      maxHeaderBytes: random.pick([700, 65_536]),
      apart: random.pick([0, 0.5, 1]),
      broken: sometimes(0.3, () => random.next() * 0.3),
      foreign: sometimes(0.2, () => random.next() * 0.5),
      // It is unknown which upgrades the rate leaves out, with the bytes behind them.
      upgrade: sometimes(0.3, () => random.next() * 0.3) * (policy.rules.maxRate === undefined ? 1 : 0),
      closing: sometimes(0.4, () => random.next() * 0.2),
      nested: nesting.chance(0.3) ? nesting.next() : 0,
      odd: oddity.chance(0.5) ? oddity.next() * 0.5 : 0,
      oddSeed: seed ^ 0x0dd,
    },
    isBenign,
    pipelineDepth: random.pick([1, 1, 1, 2, 5]),
    maxWaitingRequests: isBenign ? 128 : random.pick([1, 3, 128, 128]),
    maxRequestBytes: random.pick(isUploading ? [1, 500] : [1, 500, 5000, 1 << 20]),
    responseTimeoutMs,
    addsField: random.chance(0.2),
    policy,
    canWait: !scenario.isLive && random.chance(0.5),
    stopAfterMs: isBenign || random.chance(0.8) ? Infinity : random.int(0, 2000),
    closing: sometimes(0.6, () => random.next()),
    mischief: harm(0.7, () => random.next() * 0.7),
    isDown: !isBenign && random.chance(0.05),
    early: harm(0.4, () => random.next() * 0.5),
    interim: sometimes(0.4, () => random.next() * 0.5),
    upgrading: random.pick([0, 0.5, 1]),
    dressing: oddity.chance(0.5) ? oddity.next() : 0,
    // The parts of a response come one after the other, all within the time limit.
    answerMsMax: sometimes(0.8, () => random.pick([1, 20, responseTimeoutMs / 10])),
  };
}
