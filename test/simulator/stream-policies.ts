/** Policies of worlds of --mode tcp, and the connections that they leave out: known from the client's address. */
import type { Policy } from "../../src/policy/policy.ts";
import { hashOfKey, policyFor, ruleOf } from "../support/policies.ts";
import type { Random } from "../support/random.ts";

export interface StreamPolicy {
  readonly rules: Parameters<typeof policyFor>[0];
  /** The reason under which these connections are counted. */
  readonly reason: "filtered" | "sampled_out";
  /** Whether it leaves out all connections of a client. */
  leavesOut(source: string): boolean;
}

export const NO_STREAM_POLICY: StreamPolicy = { rules: {}, reason: "filtered", leavesOut: () => false };

const NETWORK = "10.0.0.0/16";
const isInNetwork = (source: string) => source.startsWith("10.0.");

export function streamPolicy(random: Random): StreamPolicy {
  const percent = random.pick([10, 50, 90]);
  const rules = [ruleOf(`client:${NETWORK}`)];
  return random.pick<StreamPolicy>([
    NO_STREAM_POLICY,
    { rules: { deny: rules }, reason: "filtered", leavesOut: isInNetwork },
    { rules: { allow: rules }, reason: "filtered", leavesOut: (source) => !isInNetwork(source) },
    {
      rules: { sample: { percent, key: "client", name: "" } },
      reason: "sampled_out",
      leavesOut: (source) => hashOfKey(source) >= (percent / 100) * 2 ** 32,
    },
  ]);
}

export function policyOfStreams({ rules }: StreamPolicy): Policy | null {
  return Object.keys(rules).length === 0 ? null : policyFor(rules);
}
