/**
 * Objects by the numbers of their streams. Streams begin in the order of their numbers and end soon. So most of them
 * have their own place in a small ring. A Map would be rebuilt again and again, because its objects come and go.
 */

const PLACES_FIRST = 16;
/** The longest ring. If a stream's place in it is taken, the stream is kept in a Map. */
export const PLACES_MAX = 128;
const NO_STREAM = 0;

/** A table by streams. Stream 0 cannot be in it. */
export class StreamTable<T extends object> {
  size = 0;
  private streams = new Int32Array(PLACES_FIRST);
  private values: (T | null)[] = new Array<T | null>(PLACES_FIRST).fill(null);
  private others: Map<number, T> | null = null;

  get(stream: number): T | undefined {
    const place = this.placeOf(stream);
    if (this.streams[place] === stream) return this.values[place]!;
    return this.others === null ? undefined : this.others.get(stream);
  }

  /** Adds an object. The stream must have none. */
  add(stream: number, value: T): void {
    this.size++;
    while (this.streams[this.placeOf(stream)] !== NO_STREAM) {
      if (this.streams.length === PLACES_MAX) {
        this.others ??= new Map();
        this.others.set(stream, value);
        return;
      }
      this.grow();
    }
    this.put(stream, value);
  }

  /** Removes a stream's object, if it has one. */
  delete(stream: number): void {
    const place = this.placeOf(stream);
    if (this.streams[place] === stream) {
      this.streams[place] = NO_STREAM;
      this.values[place] = null;
    } else if (this.others === null || !this.others.delete(stream)) {
      return;
    }
    this.size--;
  }

  clear(): void {
    this.streams.fill(NO_STREAM);
    this.values.fill(null);
    this.others = null;
    this.size = 0;
  }

  /** All, in the order of their streams. */
  entries(): [stream: number, value: T][] {
    const all: [number, T][] = this.others === null ? [] : [...this.others];
    this.values.forEach((value, place) => {
      if (value !== null) all.push([this.streams[place]!, value]);
    });
    return all.sort(([one], [other]) => one - other);
  }

  /** A client's streams have odd numbers. */
  private placeOf(stream: number): number {
    return (stream >>> 1) & (this.streams.length - 1);
  }

  private put(stream: number, value: T): void {
    const place = this.placeOf(stream);
    this.streams[place] = stream;
    this.values[place] = value;
  }

  private grow(): void {
    const { streams, values } = this;
    this.streams = new Int32Array(2 * streams.length);
    this.values = new Array<T | null>(2 * streams.length).fill(null);
    for (let place = 0; place < streams.length; place++)
      if (streams[place] !== NO_STREAM) this.put(streams[place]!, values[place]!);
  }
}
