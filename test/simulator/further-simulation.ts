/**
 * The world of --mode tcp with policies, and with further destinations (--also), each of random behaviour: what they do
 * changes nothing for the endpoint, and what they get is accounted for as what it gets is.
 */
import { Random } from "../support/random.ts";
import { type Scenario, scenarioOf } from "./scenario.ts";
import { type Further, Simulation } from "./simulation.ts";
import { streamPolicy } from "./stream-policies.ts";

const FURTHER_MAX = 2;

/** What a further destination may be like beside what a seed makes of it. */
const KINDS: readonly Partial<Scenario>[] = [
  {},
  {},
  // Most of its connections come to nothing, or stand still.
  { harm: 0.9 },
  // It takes little at a time, and nothing for a while.
  { slow: 1 },
  // Nothing is wrong with it.
  { harm: 0, outage: 0, slow: 0 },
];
const LIMITS_BYTES = [undefined, undefined, 0, 4096, 20_000, 60_000];

export interface FurtherOutcome {
  /** Bytes that further destinations got. */
  readonly bytes: number;
  readonly lostBytes: number;
  /** Connections that policy left out. */
  readonly leftOut: number;
}

/** Runs the world of one seed with further destinations, and without. */
export function simulateFurther(seed: number): FurtherOutcome {
  try {
    const random = new Random(seed ^ 0xf127);
    const scenario = scenarioOf(seed);
    const policy = streamPolicy(random);
    const further = Array.from({ length: random.int(1, FURTHER_MAX) }, () => beside(scenario, random));
    const alone = new FurtherSimulation(scenario, [], policy);
    alone.run();
    const together = new FurtherSimulation(scenario, further, policy);
    together.run();
    if (alone.endpointsView !== together.endpointsView)
      throw new Error(
        `the endpoint is not what it is alone:\n${alone.endpointsView}\ninstead:\n${together.endpointsView}`,
      );
    return together.further;
  } catch (error) {
    throw new Error(
      `seed ${seed} (FURTHER_SEED=${seed} bun test test/simulator/further.test.ts): ${(error as Error).message}`,
      { cause: error },
    );
  }
}

class FurtherSimulation extends Simulation {
  /** What the endpoint was given and counted, in a form that can be compared. */
  get endpointsView(): string {
    const { flows, reassembly, upstream, streams } = this.counters;
    const came = this.endpoint.sockets.map(({ received }) => Bun.hash(received.slice()).toString(36));
    return JSON.stringify({ flows, reassembly, upstream, streams, came });
  }

  get further(): FurtherOutcome {
    const all = this.counters.destinations;
    const total = (of: (each: (typeof all)[number]) => number) => all.reduce((sum, each) => sum + of(each), 0);
    return {
      bytes: total(({ upstream }) => upstream.bytes),
      lostBytes: total(({ upstream }) => upstream.lost_bytes),
      leftOut: total(({ streams }) => streams.dropped.filtered + streams.dropped.sampled_out),
    };
  }
}

/** The endpoint's world, with a destination that behaves as another seed's does. */
function beside(scenario: Scenario, random: Random): Further {
  const { seed, outage, harm, slow } = { ...scenarioOf(random.int(1, 1 << 30)), ...random.pick(KINDS) };
  return { scenario: { ...scenario, seed, outage, harm, slow }, limitBytes: random.pick(LIMITS_BYTES) };
}
