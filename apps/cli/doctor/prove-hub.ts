/** Has a hub prove that it knows a sidecar's token, as the sidecar does, and asks if the sidecar could identify. Sends no part of the token. */
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import type { HubTrust } from '../../../adapters/kit/trusted-hub.ts';
import { wsLink } from '../../../adapters/link-ws/ws-link.ts';
import { silentLog } from '../../../core/ports/log.ts';
import type { DeviceKey } from '../../../core/ports/trust/device-key.ts';
import { frameParser } from '../../../core/protocol/frame-parser.ts';
import { hubSchemas, type HubFrame } from '../../../core/protocol/hub-frames.ts';
import { deviceText, hubProof, isSameProof, sealedToken } from '../../../core/protocol/proof.ts';
import { newHandshake } from '../../handshake.ts';

export type HubProof =
  /**
   * `inUse`: a machine with another instance id is connected with this agent id; null from a hub that does not say. `isWrongDevice`: the
   * agent is bound to another device key.
   */
  | { readonly kind: 'proved'; readonly inUse: boolean | null; readonly isWrongDevice: boolean }
  /** It knows the token but does not accept it: the token has expired. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'not_proved' }
  /** It does not know `hello`. */
  | { readonly kind: 'older' };

export interface HubToProve {
  /** `ws://…` or `wss://…` */
  readonly url: string;
  readonly agentId: string;
  readonly token: string;
  /** The instance ID of the sidecar on this machine; null if it has never started. */
  readonly instanceId: string | null;
  /** The key of this machine; null if it has none. */
  readonly deviceKey: DeviceKey | null;
  /** How the hub is recognized over `wss://`. */
  readonly trust: HubTrust;
}

const FRAME_BYTES_MAX = 65_536;
/** Errors from a hub that does not know `hello`, or `identify_check`. */
const UNKNOWN_FRAME: readonly string[] = ['not_identified', 'unknown_message_type'];
const REFUSED: readonly string[] = ['invalid_token', 'token_agent_mismatch'];
/** An instance ID that no sidecar has. */
const NO_INSTANCE = 'agentcom-doctor';

/** Fails if the hub does not answer within `withinMs`, or is too busy. */
export function proveHub({ url, agentId, token, instanceId, deviceKey, trust }: HubToProve, withinMs: number): Promise<HubProof> {
  const { hmac } = systemDigest();
  const { key, hello } = newHandshake(agentId, token);
  const parseFrame = frameParser<HubFrame>(hubSchemas);
  return new Promise<HubProof>((resolve, reject) => {
    let isProved = false;
    const late = setTimeout(() => end(() => reject(new Error(`no answer within ${withinMs} ms`))), withinMs);
    const end = (answer: () => void): void => {
      clearTimeout(late);
      connection.destroy();
      answer();
    };
    const onError = (error: string): void => {
      const isUnknown = UNKNOWN_FRAME.includes(error);
      if (isProved && REFUSED.includes(error)) return end(() => resolve({ kind: 'refused' }));
      if (isUnknown) return end(() => resolve(isProved ? { kind: 'proved', inUse: null, isWrongDevice: false } : { kind: 'older' }));
      end(() => reject(new Error(`it answers with ${error}`)));
    };
    const onChallenge = (hubNonce: string, proof: string): void => {
      const handshake = { ...hello, hubNonce };
      if (!isSameProof(proof, hubProof(key, handshake, hmac))) return end(() => resolve({ kind: 'not_proved' }));
      isProved = true;
      const sealed = sealedToken(token, key, handshake, hmac);
      const instance = instanceId ?? NO_INSTANCE;
      const device = deviceKey === null ? {} : { device_key: deviceKey.publicKey, device_proof: deviceKey.sign(deviceText(handshake)) };
      connection.send(JSON.stringify({ type: 'identify_check', agent_id: agentId, proof: sealed, instance_id: instance, ...device }));
    };
    const connection = wsLink({ log: silentLog, handshakeMs: withinMs, trust }).connect(
      { url, frameBytesMax: FRAME_BYTES_MAX },
      {
        onOpen: () =>
          void connection.send(JSON.stringify({ type: 'hello', agent_id: agentId, token_hint: hello.tokenHint, nonce: hello.nonce })),
        onFrame(text) {
          const parsed = parseFrame(text);
          if (parsed.kind !== 'frame') return end(() => reject(new Error('it does not speak the protocol of a hub')));
          const { frame } = parsed;
          if (frame.type === 'challenge' && !isProved) return onChallenge(frame.nonce, frame.proof);
          if (frame.type === 'identify_checked')
            return end(() => resolve({ kind: 'proved', inUse: frame.in_use, isWrongDevice: frame.wrong_device === true }));
          if (frame.type === 'error') onError(frame.error);
        },
        onTaken: () => undefined,
        onGone: (code, reason) => end(() => reject(new Error(reason === '' ? `it closed the connection (${code})` : reason))),
      },
    );
  });
}
