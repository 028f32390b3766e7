// @ts-check
/** Wakes `my-agent`, which reads a prompt and prints an object a line: `ready`, `tool`, `answer` or `sorry`. */
import { agentFailed, agentProgram, defineWakeRunner, describeEnd, Type } from 'agentcom/plugin';

/** @type {import('agentcom/plugin').AgentDialect<{ readonly mayHaveSideEffects: boolean }>} */
export const dialect = {
  begin: () => ({ mayHaveSideEffects: false }),
  onLine(state, { json }) {
    switch (json?.['say']) {
      case 'ready':
        return { state, events: [{ type: 'started', sessionId: String(json['session']) }] };
      case 'tool':
        return { state: { mayHaveSideEffects: true }, events: [{ type: 'progress', message: `uses ${String(json['name'])}` }] };
      case 'answer':
        return { state, events: [{ type: 'completed', output: { text: json['text'] }, tokensUsed: Number(json['tokens']) }] };
      case 'sorry':
        return {
          state,
          events: [agentFailed({ ...state, kind: json['key'] === 'wrong' ? 'auth' : 'agent_failed', message: String(json['text']) })],
        };
      default:
        return { state }; // Irrelevant, but a sign of life.
    }
  },
  // Whatever its exit code: without an answer there is no result.
  onEnd: (state, end) => agentFailed({ ...state, kind: 'no_result', message: describeEnd(end) }),
};

export const myAgent = defineWakeRunner({
  name: 'my-agent',
  options: Type.Object({
    argv: Type.Optional(Type.Array(Type.String(), { minItems: 1 })),
    cwd: Type.Optional(Type.String()),
    session: Type.Optional(Type.Enum(['fresh', 'resume'])),
  }),
  create: ({ options: { argv = ['my-agent'], cwd, session: mode }, ...sidecar }) =>
    agentProgram(sidecar, {
      name: 'my-agent',
      title: 'My agent',
      settings: { session: mode },
      start: ({ session }) => ({ argv: [...argv, ...(session === null ? [] : ['--resume', session.id])], cwd, passEnv: ['MY_AGENT_KEY'] }),
      dialect,
      hints: { auth: 'Give the sidecar a MY_AGENT_KEY that is valid.' },
    }),
});
