/** The challenge after a `hello`: the hub proves that it knows the token, and the sidecar's proof shows which token it has. */
import { deviceText, hubProof, unsealedToken } from '../../../protocol/proof.ts';
import type { V2FrameOf } from '../../../protocol/sidecar-frames.ts';
import type { Frame } from './frames-out.ts';
import type { SessionDeps } from './session-deps.ts';

/** What an identify proves. */
export interface Proven {
  /** Its token, plain or from its proof; null if the proof does not fit the token of its hello. */
  readonly secret: string | null;
  /** The key of its machine; null if it proves none. */
  readonly deviceKey: string | null;
}

/** `challenge`: null if there was no hello. */
export function provenBy(frame: V2FrameOf<'identify'>, challenge: ChallengeHandler | null): Proven {
  const secret = frame.token ?? challenge?.tokenIn(frame.proof ?? '') ?? null;
  // No signature is checked for a stranger.
  return { secret, deviceKey: secret === null ? null : (challenge?.deviceKeyIn(frame) ?? null) };
}

/** The hello of one connection. It is answered once, and its challenge is valid for one proof. */
export class ChallengeHandler {
  readonly #deps: SessionDeps;
  readonly #hello: V2FrameOf<'hello'>;
  readonly #hubNonce: string;
  #key: string | null = null;
  #isTokenKnown = true;

  constructor(hello: V2FrameOf<'hello'>, deps: SessionDeps) {
    this.#deps = deps;
    this.#hello = hello;
    this.#hubNonce = deps.ids.secret();
  }

  /**
   * The connection has closed. Whether the hint matched no token of this agent, and no proof followed: a guess that cost a lookup, or a
   * sidecar whose token was revoked. A sidecar leaves without a frame that could be refused, so this is logged and counted here.
   */
  closed(address: string): boolean {
    if (this.#isTokenKnown || this.#key === null) return false;
    const { refusedFrames, noteRefusal } = this.#deps;
    const error = 'invalid_token';
    refusedFrames.add(error);
    const sender = { agent_id: this.#hello.agent_id, token: `hint ${this.tokenHint}`, address };
    noteRefusal(`hello ${error}`, 'an agent left, because the hub does not know its token', { error, ...sender });
    return true;
  }

  get tokenHint(): string {
    return this.#hello.token_hint;
  }

  /** The answer to the hello. It looks the same if there is no such token, so that it cannot be used to probe for tokens. */
  async challenge(): Promise<Frame> {
    const { agents, digest, ids } = this.#deps;
    const { agent_id: agentId, token_hint: hint } = this.#hello;
    const randomKey = ids.secret();
    const token = await agents.findTokenByHint(hint);
    this.#isTokenKnown = token !== undefined && token.agentId === agentId;
    this.#key = token !== undefined && this.#isTokenKnown ? token.hash : randomKey;
    return { type: 'challenge', nonce: this.#hubNonce, proof: hubProof(this.#key, this.#handshake, digest.hmac) };
  }

  /** The token in the proof, or null if the proof is wrong. Uses up the challenge. */
  tokenIn(proof: string): string | null {
    const key = this.#key;
    this.#key = null;
    return key === null ? null : unsealedToken(proof, key, this.#handshake, this.#deps.digest);
  }

  /** The key of the machine, if the frame proves possession of it; null otherwise. */
  deviceKeyIn({ device_key: publicKey, device_proof: proof }: V2FrameOf<'identify'>): string | null {
    if (publicKey === undefined || proof === undefined) return null;
    return this.#deps.digest.isSignedBy(publicKey, deviceText(this.#handshake), proof) ? publicKey : null;
  }

  get #handshake() {
    const { agent_id: agentId, token_hint: tokenHint, nonce } = this.#hello;
    return { agentId, tokenHint, nonce, hubNonce: this.#hubNonce };
  }
}
