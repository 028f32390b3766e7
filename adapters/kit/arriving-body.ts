/**
 * A request body while it arrives. Chunks are buffered until they are read, and reading from the socket is paused if there are too many.
 * The body is arriving, then complete, or broken if the client disconnects. It is dropped once it is cancelled.
 */
import type { HttpBody } from '../../core/ports/http.ts';

/** The connection that the bytes come from. */
export interface BodySource {
  /** Buffered bytes above which it is paused. */
  readonly bufferedBytesMax: number;
  pause(): void;
  resume(): void;
}

export class ArrivingBody implements HttpBody {
  readonly #source: BodySource;
  readonly #buffered: Uint8Array[] = [];
  #bufferedBytes = 0;
  #state: 'arriving' | 'complete' | 'broken' = 'arriving';
  #error: Error | null = null;
  #isDropped = false;
  #isPaused = false;
  /** `whole` was called: the body is buffered without a limit, because the caller has checked its announced length. */
  #isUnlimited = false;
  #wake: () => void = () => undefined;

  constructor(source: BodySource) {
    this.#source = source;
  }

  async next(): Promise<Uint8Array | null> {
    while (this.#buffered.length === 0 && this.#isExpected()) await this.#change();
    const chunk = this.#buffered.shift();
    if (chunk !== undefined) {
      this.#bufferedBytes -= chunk.byteLength;
      this.#pauseOrResume();
      return chunk;
    }
    if (this.#error !== null) throw this.#error;
    return null;
  }

  whole(): Uint8Array | Promise<Uint8Array> {
    return this.#state === 'complete' && !this.#isDropped ? this.#taken() : this.#arrived();
  }

  async #arrived(): Promise<Uint8Array> {
    this.#isUnlimited = true;
    this.#pauseOrResume();
    while (this.#isExpected()) await this.#change();
    if (this.#error !== null) throw this.#error;
    if (this.#isDropped) throw new Error('reading the body was cancelled');
    return this.#taken();
  }

  #taken(): Uint8Array {
    const [first] = this.#buffered;
    const bytes = first !== undefined && this.#buffered.length === 1 ? first : Buffer.concat(this.#buffered);
    this.cancel();
    return bytes;
  }

  cancel(): void {
    this.#isDropped = true;
    this.#buffered.length = 0;
    this.#bufferedBytes = 0;
    this.#pauseOrResume();
    this.#wake();
  }

  /** Whether it has arrived completely, read or not. */
  isComplete(): boolean {
    return this.#state === 'complete';
  }

  /** Adds bytes that arrived. The caller MUST NOT reuse their memory. */
  push(chunk: Uint8Array): void {
    if (this.#isDropped || chunk.byteLength === 0) return;
    this.#buffered.push(chunk);
    this.#bufferedBytes += chunk.byteLength;
    this.#pauseOrResume();
    this.#wake();
  }

  /** The body is complete. */
  end(): void {
    // The connection continues with the next request.
    if (this.#isPaused) this.#source.resume();
    this.#state = 'complete';
    this.#wake();
  }

  /** The connection is closed. If the body is not complete, reading it fails with this reason. */
  breakOff(why = 'the peer closed the connection'): void {
    if (this.#state !== 'arriving') return;
    this.#state = 'broken';
    if (!this.#isDropped) this.#error = new Error(why);
    this.#wake();
  }

  #isExpected(): boolean {
    return this.#state === 'arriving' && !this.#isDropped;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }

  #pauseOrResume(): void {
    if (this.#state !== 'arriving') return;
    const isTooMuch = !this.#isUnlimited && this.#bufferedBytes > this.#source.bufferedBytesMax;
    if (isTooMuch === this.#isPaused) return;
    this.#isPaused = isTooMuch;
    if (isTooMuch) this.#source.pause();
    else this.#source.resume();
  }
}
