/** What a `hello` begins: this hub proves that it knows the token, and learns from the sidecar's proof which token it was. */
import { hubProof, unsealedToken } from '../../../protocol/proof.ts';
import type { V2FrameOf } from '../../../protocol/sidecar-frames.ts';
import type { Frame } from './frames-out.ts';
import type { SessionDeps } from './session-deps.ts';

/** The hello of one connection: it is answered once, and the answer is good for one proof. */
export class Greeting {
  readonly #deps: SessionDeps;
  readonly #hello: V2FrameOf<'hello'>;
  readonly #hubNonce: string;
  #key: string | null = null;
  #isKnown = true;

  constructor(hello: V2FrameOf<'hello'>, deps: SessionDeps) {
    this.#deps = deps;
    this.#hello = hello;
    this.#hubNonce = deps.ids.secret();
  }

  /** The hint matches no token of this agent, and no proof followed: a guess that cost a lookup. */
  get isVainGuess(): boolean {
    return !this.#isKnown && this.#key !== null;
  }

  /** The frame that answers it. Where there is no such token it looks the same, so that nobody learns which ones there are. */
  async challenge(): Promise<Frame> {
    const { agents, digest, ids } = this.#deps;
    const { agent_id: agentId, token_hint: hint } = this.#hello;
    const strangersKey = ids.secret();
    const token = await agents.findTokenByHint(hint);
    this.#isKnown = token !== undefined && token.agentId === agentId;
    this.#key = token !== undefined && this.#isKnown ? token.hash : strangersKey;
    return { type: 'challenge', nonce: this.#hubNonce, proof: hubProof(this.#key, this.#said, digest.hmac) };
  }

  /** The token in the proof, null when it is not the right one; the challenge is used up. */
  tokenIn(proof: string): string | null {
    const key = this.#key;
    this.#key = null;
    return key === null ? null : unsealedToken(proof, key, this.#said, this.#deps.digest);
  }

  get #said() {
    const { agent_id: agentId, token_hint: tokenHint, nonce } = this.#hello;
    return { agentId, tokenHint, nonce, hubNonce: this.#hubNonce };
  }
}
