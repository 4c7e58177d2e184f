/**
 * The world of --mode tcp with policies, and with further destinations (--also), each with random behaviour: their
 * behaviour changes nothing for the endpoint, and their counters follow the same rules.
 */
import { Random } from "../support/random.ts";
import { type Scenario, scenarioOf } from "./scenario.ts";
import { type Further, Simulation } from "./simulation.ts";
import { streamPolicy } from "./stream-policies.ts";

const FURTHER_MAX = 2;

/** Special kinds of further destinations, in addition to the seed's choices. */
const KINDS: readonly Partial<Scenario>[] = [
  {},
  {},
  // Most of its connections fail, or stand still.
  { harm: 0.9 },
  // It takes few bytes at a time, and sometimes none for a while.
  { slow: 1 },
  // It has no fault.
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
  /** The endpoint's input and counters, in a form that can be compared. */
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

/** The endpoint's world, with a destination that behaves as in another seed. */
function beside(scenario: Scenario, random: Random): Further {
  const { seed, outage, harm, slow } = { ...scenarioOf(random.int(1, 1 << 30)), ...random.pick(KINDS) };
  return { scenario: { ...scenario, seed, outage, harm, slow }, limitBytes: random.pick(LIMITS_BYTES) };
}
