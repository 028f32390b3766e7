/**
 * The body of a request while it arrives: chunks wait here until they are read, and the peer is told to pause when many do.
 * It is arriving, then complete, or broken off when the peer went; dropped once nobody wants it.
 */
import type { HttpBody } from '../../core/ports/http.ts';

/** What the bytes come from. */
export interface BodySource {
  /** Bytes that may wait to be read before the peer is paused. */
  readonly waitingBytesMax: number;
  pause(): void;
  resume(): void;
}

export class ArrivingBody implements HttpBody {
  readonly #source: BodySource;
  readonly #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #state: 'arriving' | 'complete' | 'broken' = 'arriving';
  #error: Error | null = null;
  #isDropped = false;
  #isPaused = false;
  /** It is wanted whole: whoever wants that has looked at its length. */
  #isGathered = false;
  #wake: () => void = () => undefined;

  constructor(source: BodySource) {
    this.#source = source;
  }

  async next(): Promise<Uint8Array | null> {
    while (this.#waiting.length === 0 && this.#mayCome()) await this.#change();
    const chunk = this.#waiting.shift();
    if (chunk !== undefined) {
      this.#waitingBytes -= chunk.byteLength;
      this.#pauseOrResume();
      return chunk;
    }
    if (this.#error !== null) throw this.#error;
    return null;
  }

  async whole(): Promise<Uint8Array> {
    this.#isGathered = true;
    this.#pauseOrResume();
    while (this.#mayCome()) await this.#change();
    if (this.#error !== null) throw this.#error;
    if (this.#isDropped) throw new Error('the reading of the body was given up');
    const [first] = this.#waiting;
    const bytes = first !== undefined && this.#waiting.length === 1 ? first : Buffer.concat(this.#waiting);
    this.cancel();
    return bytes;
  }

  cancel(): void {
    this.#isDropped = true;
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
    this.#pauseOrResume();
    this.#wake();
  }

  /** Whether all of it has come, read or not. */
  isComplete(): boolean {
    return this.#state === 'complete';
  }

  /** These bytes came; they MUST NOT be used again. */
  take(chunk: Uint8Array): void {
    if (this.#isDropped || chunk.byteLength === 0) return;
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.byteLength;
    this.#pauseOrResume();
    this.#wake();
  }

  /** That was all. */
  end(): void {
    // What follows on the connection is another request.
    if (this.#isPaused) this.#source.resume();
    this.#state = 'complete';
    this.#wake();
  }

  /** The peer went: before the end whoever reads hears why. */
  breakOff(why = 'the peer closed the connection'): void {
    if (this.#state !== 'arriving') return;
    this.#state = 'broken';
    if (!this.#isDropped) this.#error = new Error(why);
    this.#wake();
  }

  #mayCome(): boolean {
    return this.#state === 'arriving' && !this.#isDropped;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }

  #pauseOrResume(): void {
    if (this.#state !== 'arriving') return;
    const isTooMuch = !this.#isGathered && this.#waitingBytes > this.#source.waitingBytesMax;
    if (isTooMuch === this.#isPaused) return;
    this.#isPaused = isTooMuch;
    if (isTooMuch) this.#source.pause();
    else this.#source.resume();
  }
}
