/** The parts of checks. */

export function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

export function equal(what: string, actual: number, expected: number): void {
  if (actual !== expected) throw new Error(`${what} is ${actual}, not ${expected}`);
}

export function within(what: string, actual: number, limit: number): void {
  if (!(actual >= 0 && actual <= limit)) throw new Error(`${what}: ${actual} is not within 0 and ${limit}`);
}
