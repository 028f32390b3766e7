/** Who may send which frame, and when: each frame of both tables, in each state of a connection, in both directions. */
import t from 'tap';
import { HUB_FRAMES, hubSchemas, type HubFramePhase, type HubFrameType } from '../../core/protocol/hub-frames.ts';
import {
  isFirstFrameType,
  SIDECAR_FRAMES,
  v1Schemas,
  v2Schemas,
  type SidecarFrameRule,
  type SidecarFrameType,
} from '../../core/protocol/sidecar-frames.ts';
import { ROLES } from '../../core/ports/agent-store.ts';
import { hubRig, type AnyFrame, type Peer } from '../core/hub/hub-rig.ts';
import { assignFrame, NONCE, sent, stage, TASK, type SentFrame, type Stage } from '../core/sidecar/rig/stage.ts';

const task = { task_id: TASK, generation: 1 };
/** A valid frame of each type; if a new type is missing here, this file does not compile. */
const FROM_SIDECAR: Readonly<Record<SidecarFrameType, object>> = {
  hello: { agent_id: 'w1', token_hint: 'ab'.repeat(8), nonce: NONCE },
  identify: { agent_id: 'w1', token: 'no token' },
  identify_check: { agent_id: 'w1', proof: 'ab'.repeat(64) },
  ping: {},
  status: { status: 'idle' },
  list_agents: {},
  message: { payload: 'x' },
  resource_report: {},
  agent_restarting: {},
  task_accepted: task,
  task_rejected: task,
  task_released: { ...task, reason: 'x' },
  task_progress: task,
  task_output: { ...task, seq: 0, stream: 'stdout', text: 'x' },
  wake_result: { ...task, status: 'success' },
  task_complete: { ...task, result: {} },
  task_failed: task,
  task_cancel_ack: { ...task, outcome: 'killed' },
  task_recovering: task,
  state_report: task,
  probe_ack: { nonce: 'x' },
  draining: {},
  drained: {},
  resumed: {},
  runner_checks: { ok: true },
};
const FROM_HUB: Readonly<Record<HubFrameType, object>> = {
  challenge: { nonce: NONCE, proof: 'ab'.repeat(32) },
  identified: { agent_id: 'worker-1' },
  identify_checked: { agent_id: 'worker-1', in_use: false },
  error: { error: 'invalid_token' },
  pong: { timestamp: 1 },
  task_assign: assignFrame(),
  task_ack: { ...task, status: 'accepted' },
  task_nack: { ...task, reason: 'stale_generation' },
  task_cancelled: task,
  probe: { nonce: 'x' },
  drain: {},
  resume: {},
  check: {},
  restart_sidecar: {},
};
const SIDECAR_TYPES = Object.keys(SIDECAR_FRAMES) as readonly SidecarFrameType[];
const HUB_TYPES = Object.keys(HUB_FRAMES) as readonly HubFrameType[];
type State = 'first' | 1 | 2;
const STATES: readonly State[] = ['first', 1, 2];

const mayBeSent = (type: string, state: State): boolean => {
  const rule = (SIDECAR_FRAMES as Readonly<Record<string, SidecarFrameRule>>)[type];
  return rule !== undefined && (state === 'first' ? rule.first : rule.identified.includes(state));
};

/** Whether the hub refused it because this peer may not send such a frame now. */
const isOutOfPlace = (answers: readonly AnyFrame[]): boolean =>
  answers.some(
    ({ type, error, reason, errors }) =>
      (type === 'error' && ['not_identified', 'unknown_message_type'].includes(String(error))) ||
      (type === 'task_nack' && reason === 'validation_failed') ||
      (errors as readonly { readonly error: string }[] | undefined)?.[0]?.error === 'repeated',
  );

t.test('R7: the hub accepts each sidecar frame in the states of its row, and refuses it in all others', async (t) => {
  for (const state of STATES) {
    for (const [type, fields] of [...Object.entries(FROM_SIDECAR), ...Object.entries(FROM_HUB)]) {
      const rig = await hubRig();
      const peer: Peer = await rig.peer('w1');
      if (state !== 'first') t.equal((await peer.identify({ protocol_version: state }))[0]?.type, 'identified');
      peer.newFrames();
      await peer.send({ type, ...fields });
      const frames = peer.newFrames();
      t.equal(isOutOfPlace(frames), !mayBeSent(type, state), `${type} ${state}: ${JSON.stringify(frames)}`);
      if (!mayBeSent(type, state)) t.not(Object.keys(rig.sessions.refusals().frames).length, 0, `${type} ${state} is counted`);
      await rig.stop();
    }
  }
});

t.test('R7: only a valid token of role agent identifies, and only its own agent', async (t) => {
  for (const role of ROLES) {
    for (const [what, over] of [
      ['valid', {}],
      ['expired', { expiresAtMs: 1 }],
      ['revoked', { revokedAtMs: 1 }],
    ] as const) {
      const rig = await hubRig();
      const peer = await rig.peer('w1', { role, agentId: role === 'agent' ? ('w1' as never) : null, ...over });
      const [answer] = await peer.identify();
      const isWelcome = role === 'agent' && what === 'valid';
      t.match(answer, isWelcome ? { type: 'identified' } : { type: 'error', error: 'invalid_token' }, `${what} ${role}`);
      if (isWelcome) {
        const [other] = await (await peer.reconnect()).identify({ agent_id: 'w2' });
        t.match(other, { error: 'token_agent_mismatch' });
      }
      await rig.stop();
    }
  }
});

/** A sidecar whose link is in this phase. */
function sidecarIn(phase: HubFramePhase): Stage {
  const sidecar = stage({ plainToken: phase !== 'greeting' });
  sidecar.take({ type: 'start' });
  sidecar.take({ type: 'link_up', connectionId: 1, nonce: NONCE });
  if (phase === 'identified') sidecar.frame({ type: 'identified', agent_id: 'worker-1' });
  return sidecar;
}

t.test('R22: a sidecar accepts each hub frame in the phases of its row, and ignores it in all others', async (t) => {
  for (const phase of ['greeting', 'identifying', 'identified'] as const) {
    for (const type of HUB_TYPES) {
      const sidecar = sidecarIn(phase);
      t.equal(sidecar.state.link.phase, phase);
      const before = sidecar.state;
      const effects = sidecar.frame({ type, ...FROM_HUB[type] } as SentFrame);
      if (HUB_FRAMES[type].includes(phase)) continue;
      t.strictSame([effects, sent(effects)], [[], []], `${type} while ${phase}`);
      t.strictSame(sidecar.state, before, `${type} while ${phase}`);
    }
    const [probe] = sent(sidecarIn(phase).frame({ type: 'probe', nonce: 'x' }));
    t.equal(probe?.['type'], phase === 'identified' ? 'probe_ack' : undefined, 'a probe is answered only when identified');
  }
});

t.test('each frame of the protocol has a row that agrees with its schemas', async (t) => {
  t.strictSame([...SIDECAR_TYPES].sort(), [...new Set([...Object.keys(v1Schemas), ...Object.keys(v2Schemas)])].sort());
  t.strictSame([...HUB_TYPES].sort(), Object.keys(hubSchemas).sort());
  for (const type of SIDECAR_TYPES) {
    if (isFirstFrameType(type)) continue;
    for (const [version, schemas] of [
      [1, v1Schemas],
      [2, v2Schemas],
    ] as const)
      // prettier-ignore
      t.equal(mayBeSent(type, version), Object.hasOwn(schemas, type), `${type} in version ${version}`);
  }
  // @ts-expect-error a frame without a row does not compile
  const planted: typeof SIDECAR_FRAMES = { hello: SIDECAR_FRAMES.hello };
  t.equal(Object.keys(planted).length, 1);
  for (const type of ['__proto__', 'constructor', 'planted']) t.notOk(isFirstFrameType(type), type);
});
