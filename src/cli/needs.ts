/** Flags that have an effect only beside something else: without it, whoever gives one expects what will not come. */
import type { ForwardAddress } from "../address.ts";
import { UsageError } from "../errors.ts";
import { camelCase, type FlagName, flags, type FlagValues } from "./flags.ts";

interface Need {
  readonly flags: readonly FlagName[];
  /** What they need, in words. */
  readonly what: string;
  isThere(chosen: FlagValues, destinations: readonly ForwardAddress[]): boolean;
}

const hasFile = (destinations: readonly ForwardAddress[]) => destinations.some(({ file }) => file !== undefined);

const NEEDS: readonly Need[] = [
  {
    flags: ["control", "compare-sample", "max-compare-bytes", "ignore", "differences", "fail-on-differences"],
    what: "--compare",
    isThere: ({ compare }) => compare,
  },
  {
    flags: ["redact", "no-redact"],
    what: "something that is written: --compare, or a file: destination",
    isThere: ({ compare }, destinations) => compare || hasFile(destinations),
  },
  {
    flags: ["tls-ca", "tls-cert", "tls-key", "tls-server-name", "tls-insecure"],
    what: "an https:// destination",
    isThere: (_, destinations) => destinations.some(({ isSecure }) => isSecure === true),
  },
  {
    flags: ["record-max-mib", "record-files"],
    what: "--record",
    isThere: ({ record }) => record !== undefined,
  },
  { flags: ["file-max-mib"], what: "a file: destination", isThere: (_, destinations) => hasFile(destinations) },
  {
    flags: ["dry-run"],
    what: "--read, where nothing is lost while it looks",
    isThere: ({ read }) => read.length > 0,
  },
  { flags: ["speed", "loop", "outage-timeout-s"], what: "--read", isThere: ({ read }) => read.length > 0 },
];

/** `destinations`: all of them. Throws UsageError at the first flag that could do nothing. */
export function refuseWithoutEffect(chosen: FlagValues, destinations: readonly ForwardAddress[]): void {
  for (const { flags: names, what, isThere } of NEEDS) {
    const used = names.find((name) => isUsed(name, chosen));
    if (used === undefined || isThere(chosen, destinations)) continue;
    throw new UsageError(`Cannot use --${used}: it needs ${what}`);
  }
}

/** Whether a flag, or its variable, asks for something beside its default. */
function isUsed(name: FlagName, chosen: FlagValues): boolean {
  const value: unknown = chosen[camelCase(name) as keyof FlagValues];
  return Array.isArray(value) ? value.length > 0 : value !== flags[name].default;
}
