/** Flows in the order in which they were last put at the end: a doubly linked list through themselves. */
import type { Flow } from "./flow.ts";

export class FlowList {
  private first: Flow | null = null;
  private last: Flow | null = null;
  private count = 0;

  get size(): number {
    return this.count;
  }

  get oldest(): Flow | null {
    return this.first;
  }

  get newest(): Flow | null {
    return this.last;
  }

  /** Adds a flow that is in no list. */
  append(flow: Flow): void {
    flow.older = this.last;
    flow.newer = null;
    if (this.last === null) this.first = flow;
    else this.last.newer = flow;
    this.last = flow;
    this.count++;
  }

  /** Takes out a flow that is in this list. */
  remove(flow: Flow): void {
    if (flow.older === null) this.first = flow.newer;
    else flow.older.newer = flow.newer;
    if (flow.newer === null) this.last = flow.older;
    else flow.newer.older = flow.older;
    flow.older = null;
    flow.newer = null;
    this.count--;
  }

  moveToEnd(flow: Flow): void {
    if (this.last === flow) return;
    this.remove(flow);
    this.append(flow);
  }
}
