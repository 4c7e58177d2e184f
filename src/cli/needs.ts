/**
 * Flags that need another option to have an effect. Without it, a flag that asks for a feature is refused, because its
 * user expects the feature. A flag that only tunes something gets a warning, because the environment of a service may
 * have it for other programs.
 */
import { type ForwardAddress, hasFile, hasTls } from "../address.ts";
import { UsageError } from "../errors.ts";
import { camelCase, type FlagName, flags, type FlagValues } from "./flags.ts";

interface Need {
  readonly flags: readonly FlagName[];
  readonly isRefused: boolean;
  /** The need of the flags, in words. */
  readonly what: string;
  isThere(chosen: FlagValues, destinations: readonly ForwardAddress[]): boolean;
}

const NEEDS: readonly Need[] = [
  {
    flags: ["control", "differences", "fail-on-differences"],
    isRefused: true,
    what: "--compare",
    isThere: ({ compare }) => compare,
  },
  {
    flags: ["dry-run"],
    isRefused: true,
    what: "--read, because a savefile waits and loses nothing",
    isThere: ({ read }) => read.length > 0,
  },
  {
    // Not refused, because a user adds --dry-run to the command line of a later run.
    flags: ["compare", "control", "differences", "fail-on-differences"],
    isRefused: false,
    what: "forwarded requests, and --dry-run forwards none",
    isThere: ({ dryRun }) => !dryRun,
  },
  { flags: ["speed", "loop"], isRefused: true, what: "--read", isThere: ({ read }) => read.length > 0 },
  {
    flags: ["compare-sample", "max-compare-bytes", "ignore"],
    isRefused: false,
    what: "--compare",
    isThere: ({ compare }) => compare,
  },
  {
    flags: ["redact", "no-redact"],
    isRefused: false,
    what: "--compare or a file: destination, which write requests and responses",
    isThere: ({ compare }, destinations) => compare || hasFile(destinations),
  },
  {
    flags: ["tls-ca", "tls-cert", "tls-key", "tls-server-name", "tls-insecure"],
    isRefused: false,
    what: "an https:// destination",
    isThere: (_, destinations) => hasTls(destinations),
  },
  {
    flags: ["record-max-mib", "record-max-s", "record-files"],
    isRefused: false,
    what: "--record",
    isThere: ({ record }) => record !== undefined,
  },
  {
    flags: ["file-max-mib"],
    isRefused: false,
    what: "a file: destination",
    isThere: (_, destinations) => hasFile(destinations),
  },
  {
    flags: [
      "http2",
      "pipeline-depth",
      "max-waiting-requests",
      "max-request-bytes",
      "max-header-bytes",
      "header-timeout-s",
      "max-response-seconds",
    ],
    isRefused: false,
    what: "--mode http",
    isThere: ({ mode }) => mode === "http",
  },
  {
    flags: ["vxlan-port"],
    isRefused: false,
    what: "--encapsulation vxlan",
    isThere: ({ encapsulation }) => encapsulation === "vxlan",
  },
  {
    // A savefile is read in one thread, and waits before it is too far ahead.
    flags: ["capture-buffer-mib", "libpcap", "threads", "max-waiting-requests"],
    isRefused: false,
    what: "an interface",
    isThere: ({ read }) => read.length === 0,
  },
  {
    flags: ["idle-timeout-s"],
    isRefused: false,
    what: "an interface, or --follow: in a savefile a flow may go on later",
    isThere: ({ read, follow }) => read.length === 0 || follow,
  },
  {
    flags: ["connect-timeout-ms"],
    isRefused: false,
    what: "an interface, or an https:// destination: a savefile waits for --outage-timeout-s",
    isThere: ({ read }, destinations) => read.length === 0 || hasTls(destinations),
  },
  {
    flags: ["ignore"],
    isRefused: false,
    what: "an endpoint that responds",
    isThere: ({ compare }, [endpoint]) => !compare || endpoint?.file === undefined,
  },
  { flags: ["outage-timeout-s"], isRefused: false, what: "--read", isThere: ({ read }) => read.length > 0 },
];

/**
 * Warnings about flags without an effect, in words. `destinations`: all of them. Throws UsageError at the first flag
 * that is refused.
 */
export function withoutEffect(chosen: FlagValues, destinations: readonly ForwardAddress[]): string[] {
  return NEEDS.flatMap(({ flags: names, isRefused, what, isThere }) => {
    const used = isThere(chosen, destinations) ? [] : names.filter((name) => isUsed(name, chosen));
    if (isRefused && used.length > 0) throw new UsageError(`Cannot use --${used[0]}: it needs ${what}`);
    return used.map((name) => `--${name} does nothing here: it needs ${what}`);
  });
}

/** Whether a flag, or its variable, has another value than the default. */
function isUsed(name: FlagName, chosen: FlagValues): boolean {
  const value: unknown = chosen[camelCase(name) as keyof FlagValues];
  return Array.isArray(value) ? value.length > 0 : value !== flags[name].default;
}
