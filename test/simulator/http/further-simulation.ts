/**
 * The world of --mode http with further destinations (--also), each with random behaviour: their behaviour changes
 * nothing for the endpoint, and their requests are in order and counted.
 */
import { Random } from "../../support/random.ts";
import { equal, sum } from "../checks.ts";
import type { HttpEndpoint } from "./endpoint.ts";
import { type HttpScenario, httpScenarioOf } from "./scenario.ts";
import { HttpSimulation, sessionsOf } from "./simulation.ts";

const FURTHER_MAX = 2;

/** Special kinds of further destinations, in addition to the seed's choices. */
const KINDS: readonly Partial<HttpScenario>[] = [
  {},
  {},
  // It accepts connections and ends them.
  { isDown: true },
  // Most of its connections fail, or stand still.
  { harm: 0.9 },
  // It has no fault.
  { harm: 0, outage: 0, mischief: 0, early: 0, closing: 0 },
];

export class FurtherSimulation extends HttpSimulation {
  constructor(knobs: HttpScenario, further: readonly HttpScenario[]) {
    super(knobs, sessionsOf(knobs), further);
  }

  /** The endpoint's input and counters, in a form that can be compared. */
  get endpointsView(): string {
    const { requests, responses, upstream, foreign, streams } = this.counters;
    const came = this.http.requests.map(({ head, isWhole, isAnswered }) => [head?.id, isWhole, isAnswered]);
    return JSON.stringify({ requests, responses, upstream, foreign, streams, came }, undefined, 1);
  }

  /** The equations, for each further destination. */
  checkFurther(): void {
    const others = this.others as readonly HttpEndpoint[];
    const conversations = this.conversations();
    const { requests: atEndpoint } = this.counters;
    this.counters.destinations.forEach(({ address, requests, responses, upstream }, i) => {
      const dropped = sum(Object.values(requests.dropped));
      equal(`${address}: seen`, requests.seen, requests.forwarded + requests.damaged + dropped);
      equal(`${address}: seen beside the endpoint`, requests.seen, atEndpoint.seen);
      equal(`${address}: damaged`, requests.damaged, atEndpoint.damaged);
      equal(`${address}: reasons of damage`, sum(Object.values(requests.damage)), requests.damaged);
      equal(`${address}: forwarded`, requests.forwarded, requests.answered + responses.unanswered);
      equal(`${address}: connects`, upstream.connects, upstream.closed + upstream.broken + upstream.given_up);
      this.checkCame(others[i]!, conversations);
    });
    for (const { destination, load, idle } of this.shard["http"]!.further) {
      equal("bytes held for a further destination", destination.memory.budget.usedBytes, 0);
      equal("bytes held", destination.memory.heldBytes, 0);
      equal("open connections", destination.openCount, 0);
      equal("busy pipes", load.busyPipes + load.waitingRequests + load.requestsBehindParts + load.awaitingPipes, 0);
      equal("idle pipes", idle.size, 0);
    }
  }
}

/** The endpoint's world, with a destination that behaves as in another seed. */
export function beside(knobs: HttpScenario, random: Random): HttpScenario {
  const other = { ...httpScenarioOf(random.int(1, 1 << 30)), ...random.pick(KINDS) };
  const { seed, harm, outage, closing, mischief, isDown, early, interim, upgrading, dressing, answerMsMax } = other;
  const own = { seed, harm, outage, closing, mischief, isDown, early, interim, upgrading, dressing, answerMsMax };
  return { ...knobs, ...own };
}

export interface FurtherOutcome {
  /** Requests with a response of further destinations. */
  readonly answered: number;
  readonly dropped: number;
}

/** Runs the world of one seed with further destinations, and without. */
export function simulateFurther(seed: number): FurtherOutcome {
  try {
    const random = new Random(seed ^ 0xf127);
    const knobs = httpScenarioOf(seed);
    const further = Array.from({ length: random.int(1, FURTHER_MAX) }, () => beside(knobs, random));
    const alone = new FurtherSimulation(knobs, []);
    alone.run();
    const together = new FurtherSimulation(knobs, further);
    together.run();
    together.checkFurther();
    // If memory is short, the last movement decides who gives way, at any destination; and requests without room at the
    // endpoint count for --max-rate if others get them.
    const isSame = knobs.regime !== "memory" && knobs.policy.rules.maxRate === undefined;
    if (isSame && alone.endpointsView !== together.endpointsView)
      throw new Error(
        `the endpoint is not what it is alone:\n${difference(alone.endpointsView, together.endpointsView)}`,
      );
    const requests = together["counters"].destinations.map((each) => each.requests);
    return {
      answered: sum(requests.map(({ answered }) => answered)),
      dropped: sum(requests.flatMap(({ dropped }) => Object.values(dropped))),
    };
  } catch (error) {
    throw new Error(
      `seed ${seed} (FURTHER_SEED=${seed} bun test test/simulator/http/further): ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}

function difference(one: string, other: string): string {
  const [lines, others] = [one.split("\n"), other.split("\n")];
  const at = lines.findIndex((line, i) => line !== others[i]);
  return `${lines.slice(at - 2, at + 3).join(" ")} / ${others.slice(at - 2, at + 3).join(" ")}`;
}
