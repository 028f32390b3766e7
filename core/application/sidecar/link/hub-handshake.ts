/**
 * The handshake: `hello`, the hub's `challenge`, `identify`. A hub that does not prove that it knows the token is sent neither the
 * token nor the list of assignments.
 */
import { isEndOfRun } from '../../../domain/assignment/outbox.ts';
import { isSameAssignment } from '../../../domain/assignment/slot.ts';
import { PROTOCOL_VERSION } from '../../../protocol/fields.ts';
import type { HubFrameOf } from '../../../protocol/hub-frames.ts';
import { hubProof, isSameProof, sealedToken, TOKEN_HINT_DIGITS, type Handshake } from '../../../protocol/proof.ts';
import type { HeldFrame } from '../../../protocol/sidecar-frames.ts';
import { REFUSED_WAIT_MS } from '../state/bounds.ts';
import { checksToIdentify } from '../health/checks.ts';
import { onHubError, retreat } from './link.ts';
import { frameName } from '../state/state.ts';
import type { Turn } from '../state/step-context.ts';

/** What a hub answers that does not know `hello`. */
const HELLO_UNKNOWN: readonly string[] = ['not_identified', 'unknown_message_type'];

/** The socket is open: has the hub prove itself. */
export function onLinkUp(turn: Turn, { link, nonce }: { readonly link: number; readonly nonce: string }): void {
  if (link !== turn.state.link.number || turn.state.link.phase !== 'connecting') return;
  const { agentId, token, plainToken } = turn.setting;
  if (plainToken) return identify(turn, { token });
  turn.patchLink({ phase: 'greeting', nonce });
  turn.outwardly({ type: 'send', frame: { type: 'hello', agent_id: agentId, token_hint: hintOf(keyOf(turn)), nonce } });
}

/** The hub's proof: only the hub that gave the token, or another with its database, can make it. */
export function onChallenge(turn: Turn, { nonce: hubNonce, proof }: HubFrameOf<'challenge'>): void {
  const { agentId, token, hmac } = turn.setting;
  const key = keyOf(turn);
  const said: Handshake = { agentId, tokenHint: hintOf(key), nonce: turn.state.link.nonce, hubNonce };
  if (isSameProof(proof, hubProof(key, said, hmac))) return identify(turn, { proof: sealedToken(token, key, said, hmac) });
  turn.log(
    'error',
    `cannot identify: wanted a hub that proves that it knows the token of agent "${agentId}", found one at ${urlOf(turn)} that does not. ` +
      'Either this address is not the hub that gave the token: check sidecar.hubs; or the token was revoked: ask an operator for another. ' +
      'The token was not sent',
    { retry_ms: REFUSED_WAIT_MS },
  );
  retreat(turn, REFUSED_WAIT_MS);
}

/** The hub's word against `hello`. */
export function onGreetingError(turn: Turn, frame: HubFrameOf<'error'>): void {
  if (!HELLO_UNKNOWN.includes(frame.error)) return onHubError(turn, frame);
  turn.log(
    'error',
    `cannot identify: wanted a hub that proves that it knows the token of agent "${turn.setting.agentId}", found one at ${urlOf(turn)} ` +
      `that does not know "hello" (${frame.error}): it is older than this sidecar, or no hub. Check sidecar.hubs, and update the hub; ` +
      'to send it the token all the same, set sidecar.plainToken: true. The token was not sent',
    { retry_ms: REFUSED_WAIT_MS },
  );
  retreat(turn, REFUSED_WAIT_MS);
}

/** What the hub keeps of a token. */
const keyOf = ({ setting }: Turn): string => setting.sha256(setting.token);
const hintOf = (key: string): string => key.slice(0, TOKEN_HINT_DIGITS);
const urlOf = ({ setting, state }: Turn): string => setting.hubs[state.link.hub % setting.hubs.length] as string;

/** Says who this is and all that it holds, as it is now. */
function identify(turn: Turn, known: { readonly token: string } | { readonly proof: string }): void {
  turn.patchLink({ phase: 'identifying', askedAtMs: turn.nowMs });
  const { agentId, name, capabilities, slots } = turn.setting;
  turn.outwardly({
    type: 'send',
    frame: {
      type: 'identify',
      agent_id: agentId,
      ...known,
      name,
      status: turn.state.journal.slots.length > 0 ? 'working' : 'idle',
      capabilities: [...capabilities],
      client_type: 'sidecar',
      protocol_version: PROTOCOL_VERSION,
      instance_id: turn.state.instanceId,
      process_id: turn.setting.processId,
      slots,
      held: heldOf(turn),
      checks: checksToIdentify(turn),
    },
  });
}

/**
 * The whole inventory. An assignment whose run is being found out about after a restart is named by the status it had:
 * `unknown` would have the hub take it back, though the run may well be alive.
 */
function heldOf(turn: Turn): HeldFrame[] {
  const { slots, outbox } = turn.state.journal;
  const reporting = outbox.filter((entry) => isEndOfRun(entry) && !slots.some((slot) => isSameAssignment(slot, entry)));
  const all = [...slots, ...reporting.map((entry) => ({ ...entry, status: 'reporting' as const }))];
  return all.map((held) => ({
    ...frameName(held),
    status: held.status,
    assigned_at: held.assignedAtMs,
    ...(held.storeId === null ? {} : { store_id: held.storeId }),
  }));
}
