/**
 * A client's address as text: IPv4 in dots, IPv6 as RFC 5952 writes it.
 * https://www.rfc-editor.org/rfc/rfc5952#section-4
 */

const GROUPS_LEN = 8;
/** The groups before an IPv4 address that is written as an IPv6 one (RFC 4291, section 2.5.5.2). */
const MAPPED = [0, 0, 0, 0, 0, 0xffff];

/** The client's address as text. `identity`: a flow's; its first four words are the client's address. */
export function clientAddress(identity: Int32Array): string {
  return addressText(groupsOfWords(identity.subarray(0, GROUPS_LEN / 2)));
}

/** The eight groups of an address in four words. */
export function groupsOfWords(words: Int32Array): number[] {
  return [...words].flatMap((word) => [(word >>> 16) & 0xffff, word & 0xffff]);
}

/** `groups`: the eight of an IPv6 address; an IPv4 address mapped to IPv6 is written as IPv4. */
export function addressText(groups: readonly number[]): string {
  if (isIpv4(groups)) return ipv4Text(groups.slice(MAPPED.length));
  const text = groups.map((group) => group.toString(16)).join(":");
  // The longest run of zeros (the first of several with the same length) is left out; a single zero is written.
  const runs = [...text.matchAll(/(?<=^|:)0(:0)+(?=:|$)/g)];
  const longest = Math.max(...runs.map(([run]) => run.length));
  const run = runs.find(([zeros]) => zeros.length === longest);
  if (run === undefined) return text;
  const before = text.slice(0, run.index).replace(/:$/, "");
  const after = text.slice(run.index + run[0].length).replace(/^:/, "");
  return `${before}::${after}`;
}

/** `groups`: both halves of an IPv4 address. */
export function ipv4Text(groups: readonly number[]): string {
  return groups.flatMap((group) => [group >>> 8, group & 0xff]).join(".");
}

/** The same address as {@link addressText} writes it; null: the text is no address of that version. */
export function parseAddress(text: string, version: 4 | 6): string | null {
  const groups = addressGroups(text, version);
  return groups === null ? null : addressText(groups);
}

/** The version of IP of an address, if the text is one. */
export function versionOf(text: string): 4 | 6 {
  return text.includes(":") ? 6 : 4;
}

/** The eight groups of an address (an IPv4 address is mapped to IPv6); null: the text is no address of that version. */
export function addressGroups(text: string, version: 4 | 6): readonly number[] | null {
  const host = version === 4 ? text : `[${text}]`;
  if (!(version === 4 ? /^\d{1,3}(\.\d{1,3}){3}$/ : /^[\da-f:.]+$/i).test(text)) return null;
  // The URL Standard reads both as we do, but for octal numbers in IPv4.
  const url = URL.parse(`http://${host}/`);
  if (url === null) return null;
  if (version === 4) {
    const [a, b, c, d] = text.split(".").map(Number) as [number, number, number, number];
    return url.hostname === text ? [...MAPPED, (a << 8) | b, (c << 8) | d] : null;
  }
  const [head = "", tail] = url.hostname.slice(1, -1).split("::");
  const groupsOf = (part: string) => (part === "" ? [] : part.split(":").map((group) => parseInt(group, 16)));
  const before = groupsOf(head);
  if (tail === undefined) return before;
  const after = groupsOf(tail);
  const zeros = new Array<number>(GROUPS_LEN - before.length - after.length).fill(0);
  return [...before, ...zeros, ...after];
}

/** Whether the groups (see {@link addressGroups}) are an IPv4 address. */
export function isIpv4(groups: readonly number[]): boolean {
  return MAPPED.every((group, i) => groups[i] === group);
}
