/** Policies of simulated worlds, and the requests that they leave out: known from how a request was made. */
import type { Policy } from "../../../src/policy/policy.ts";
import type { Random } from "../../support/random.ts";
import { editsOf, hashOfKey, policyFor, ruleOf } from "../../support/policies.ts";
import type { Connection } from "../client.ts";
import type { Item, Session } from "./session.ts";

export interface SimulatedPolicy {
  /** In words, for the trace. */
  readonly name: string;
  readonly rules: Parameters<typeof policyFor>[0];
  /** The reason why a request is left out; null: it is not left out, or only by the rate. */
  leavesOut(item: Item, text: string, connection: Connection): "filtered" | "sampled_out" | null;
}

export const NO_POLICY: SimulatedPolicy = { name: "none", rules: {}, leavesOut: () => null };

export function simulatedPolicy(random: Random): SimulatedPolicy {
  const methods = ["GET", "POST", "PUT", "FROB"].filter(() => random.chance(0.5));
  const list = `method:${["HEAD", ...methods].join()}`;
  const isOf = (text: string) => ["HEAD", ...methods].includes(text.slice(0, text.indexOf(" ")));
  const percent = random.pick([10, 50, 90]);
  const kinds: SimulatedPolicy[] = [
    {
      name: `--allow ${list}`,
      rules: { allow: [ruleOf(list)] },
      leavesOut: (_, text) => (isOf(text) ? null : "filtered"),
    },
    {
      name: `--deny ${list}`,
      rules: { deny: [ruleOf(list)] },
      leavesOut: (_, text) => (isOf(text) ? "filtered" : null),
    },
    {
      name: `--deny client:10.0.0.0/16`,
      rules: { deny: [ruleOf("client:10.0.0.0/16")] },
      leavesOut: (_item, _text, { source }) => (source.startsWith("10.0.") ? "filtered" : null),
    },
    {
      name: `--sample ${percent}%:header=X-Id`,
      rules: { sample: { percent, key: "header", name: "x-id" } },
      leavesOut: ({ id }) => (hashOfKey(id) < (percent / 100) * 2 ** 32 ? null : "sampled_out"),
    },
    { name: "--max-rate 200", rules: { maxRate: 200 }, leavesOut: () => null },
  ];
  return random.pick(kinds);
}

export function policyOfWorld({ rules }: SimulatedPolicy, added: readonly [string, string] | null): Policy | null {
  if (Object.keys(rules).length === 0 && added === null) return null;
  return policyFor({ ...rules, headEdits: added === null ? null : editsOf({ setHeader: [added] }) });
}

/** Whether a policy leaves out a request of a session. */
export function reasonAgainst(policy: SimulatedPolicy, session: Session, connection: Connection, item: Item) {
  const text = Buffer.from(session.stream.subarray(item.start, item.end)).toString("latin1");
  return policy.leavesOut(item, text, connection);
}
