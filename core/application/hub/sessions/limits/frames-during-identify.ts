/** Frames that arrive while a hello or an identify is being processed. Together they are bounded like one frame before identify. */
import { isLongerThan, utf8Bytes } from '../../../../domain/encoded-text.ts';

/** How many frames may wait. */
const FRAMES_WAITING_MAX = 64;
const NO_FRAMES: readonly string[] = [];

export class FramesDuringIdentify {
  #texts = NO_FRAMES;
  #bytes = 0;

  /** Returns false, and drops the frame, when there is no room for it. */
  add(text: string, bytesMax: number): boolean {
    if (this.#texts.length >= FRAMES_WAITING_MAX || isLongerThan(text, bytesMax - this.#bytes)) return false;
    this.#bytes += utf8Bytes(text);
    this.#texts = [...this.#texts, text];
    return true;
  }

  /** Returns all frames in order and clears them. */
  take(): readonly string[] {
    const texts = this.#texts;
    this.#texts = NO_FRAMES;
    this.#bytes = 0;
    return texts;
  }
}
