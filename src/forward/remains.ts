/**
 * What a conversation that gives way has on its way: requests that wait, or are in flight. The client's next
 * conversation goes on with it, so that nothing overtakes them; until then each part ends when it has nothing to do.
 */
import type { Branches } from "./branches.ts";
import type { RequestPipe } from "./request-pipe.ts";

export class Remains {
  /** To the endpoint, and to further destinations; null: it has ended, or another conversation goes on with it. */
  constructor(
    private pipe: RequestPipe | null,
    private branches: Branches | null,
  ) {}

  /** What is left to the endpoint, which is the caller's from now on; null: nothing. */
  takePipe(): RequestPipe | null {
    const { pipe } = this;
    this.pipe = null;
    return pipe;
  }

  /** The same for further destinations. */
  takeBranches(): Branches | null {
    const { branches } = this;
    this.branches = null;
    return branches;
  }

  /** Sends what is due to the endpoint. */
  settle(): void {
    if (this.pipe === null) return;
    if (this.pipe.isIdle) this.takePipe()!.finish();
    else this.pipe.pump();
  }

  settleBranches(): void {
    if (this.branches === null) return;
    if (this.branches.areIdle) this.takeBranches()!.finish();
    else this.branches.settle();
  }

  /** The client has ended: its connections end behind the last response. */
  finish(): void {
    this.takePipe()?.finish();
    this.takeBranches()?.finish();
  }
}
