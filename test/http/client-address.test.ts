/** A client's address as text, written and read. */
import { expect, test } from "bun:test";
import { addressText, clientAddress, parseAddress } from "../../src/http/client-address.ts";

const addresses: [groups: string, text: string][] = [
  ["2001:db8:0:0:0:0:0:1", "2001:db8::1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["0:0:0:0:0:0:0:0", "::"],
  ["0:0:0:0:0:0:0:1", "::1"],
  ["1:0:0:0:0:0:0:0", "1::"],
  ["0:1:0:1:0:1:0:10", "0:1:0:1:0:1:0:10"],
  ["fe80:0:0:0:10:0:0:20", "fe80::10:0:0:20"],
  ["10:0:0:200:0:0:0:3000", "10:0:0:200::3000"],
  ["0:0:0:0:0:ffff:c000:201", "192.0.2.1"],
  ["0:0:0:0:0:ffff:ffff:ff00", "255.255.255.0"],
];
test.each(addresses)("%s is written as %s (RFC 5952)", (written, text) => {
  const groups = written.split(":").map((group) => parseInt(group, 16));
  expect(addressText(groups)).toBe(text);
  const words = Int32Array.from({ length: 4 }, (_, i) => (groups[2 * i]! << 16) | groups[2 * i + 1]!);
  expect(clientAddress(words)).toBe(text);
  expect(parseAddress(written, 6)).toBe(text);
  if (!text.includes(".")) expect(parseAddress(text.toUpperCase(), 6)).toBe(text);
});

const noAddresses: [text: string, version: 4 | 6][] = [
  ["1.2.3", 4],
  ["1.2.3.256", 4],
  ["01.2.3.4", 4],
  ["1.2.3.4.5", 4],
  ["0x1.2.3.4", 4],
  ["::1", 4],
  ["a.example", 4],
  ["", 4],
  ["1.2.3.4", 6],
  ["1:2:3", 6],
  ["::1::2", 6],
  ["::1%eth0", 6],
  ["[::1]", 6],
  ["::12345", 6],
  ["", 6],
];
test.each(noAddresses)("%s is no address of IPv%d", (text, version) => expect(parseAddress(text, version)).toBeNull());
