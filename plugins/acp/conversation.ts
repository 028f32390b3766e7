/** Talks with an agent for one task: greets it, opens a session, gives it the prompt, and answers what it asks. */
import { messageOf, objectOf, shortened, textOf, type SaidObject, type Session } from '../plugin.ts';
import { isSessionLost, modelChoiceIn } from './agent-failure.ts';
import type { AcpPackage, ClientContext, RequestPermissionRequest, RequestPermissionResponse, Stream } from './sdk-package.ts';
import { answerOf, type PermissionPolicy } from './permission.ts';

export interface ConversationOptions {
  readonly acp: AcpPackage;
  readonly stream: Stream;
  /** Absolute. */
  readonly cwd: string;
  readonly prompt: string;
  /** The session to go on with; null for a fresh one. */
  readonly session: Session | null;
  /** The model to be chosen by the session's own option; null: none. */
  readonly model: string | null;
  readonly policy: PermissionPolicy;
  /** Resolves when the agent has said for a while nothing more of a session's history. */
  historyTold(): Promise<void>;
  /** Told when it cannot go on, for a reason that the agent has not told itself. */
  onUnable(message: string): Promise<void>;
}

export interface Conversation {
  /** Resolves when nothing more is to be said: the prompt was answered, or the conversation is over. */
  readonly over: Promise<void>;
  /** Asks the agent to break off and answers true, where a prompt is open. Its answer to the prompt ends the conversation. */
  cancel(): boolean;
  close(): void;
}

export function converse(options: ConversationOptions): Conversation {
  const { acp, stream, policy } = options;
  let promptedIn: string | null = null;
  let isCancelled = false;

  const app = acp
    .client({ name: 'agentcom' })
    .onRequest('session/request_permission', ({ params }) => permissionAnswer(policy, params, isCancelled))
    // The run hears all messages before they come here; what is not known is not for us.
    .onNotification('session/update', () => undefined)
    .onNotification('*', () => undefined);
  const connection = app.connect(stream);
  const give = async (sessionId: string): Promise<void> => {
    promptedIn = sessionId;
    await connection.agent.request('session/prompt', { sessionId, prompt: [{ type: 'text', text: options.prompt }] });
  };
  const talk = async (): Promise<void> => {
    const sessionId = await opened(connection.agent, options);
    if (sessionId === null || isCancelled) return;
    try {
      await give(sessionId);
    } catch (error) {
      const isLost = error instanceof acp.RequestError && isSessionLost({ message: error.message, data: error.data });
      if (!isLost || sessionId !== options.session?.id || isCancelled) throw error;
      const fresh = await begun(connection.agent, options);
      if (fresh !== null && !isCancelled) await give(fresh);
    }
  };
  const over = talk()
    .catch(async (error: unknown) => {
      // What the agent refused it has told itself; and how its end is told is not ours to say.
      if (error instanceof acp.RequestError || connection.signal.aborted) return;
      await options.onUnable(`what it says is not the protocol: ${shortened(messageOf(error))}`);
    })
    .finally(() => {
      promptedIn = null;
    });

  return {
    over,
    cancel() {
      isCancelled = true;
      if (promptedIn === null) return false;
      // The pipe may break at any time, since the agent may end at any time; that is told by its end.
      void Promise.allSettled([connection.agent.notify('session/cancel', { sessionId: promptedIn })]);
      return true;
    },
    close() {
      connection.close();
    },
  };
}

/** Opens a session and chooses its model. Null: it was said why that cannot be. */
async function opened(agent: ClientContext, options: ConversationOptions): Promise<string | null> {
  const { acp, session, cwd, historyTold, onUnable } = options;
  // Without a capability for files it works on them by itself, as it has to.
  const initialized = await agent.request('initialize', {
    protocolVersion: acp.PROTOCOL_VERSION,
    clientInfo: { name: 'agentcom', version: '1' },
    clientCapabilities: {},
  });
  if (initialized.protocolVersion !== acp.PROTOCOL_VERSION) {
    const spoken = String(initialized.protocolVersion);
    await onUnable(`it speaks version ${spoken} of the protocol, and this runner version ${String(acp.PROTOCOL_VERSION)}`);
    return null;
  }
  const capabilities = objectOf(initialized.agentCapabilities);
  const resumed = session === null ? null : await goneOn(agent, { acp, capabilities, sessionId: session.id, cwd, historyTold });
  return resumed === null ? begun(agent, options) : withModel(agent, resumed, options);
}

/** A fresh session. */
const begun = async (agent: ClientContext, options: ConversationOptions): Promise<string | null> =>
  withModel(agent, await agent.request('session/new', { cwd: options.cwd, mcpServers: [] }), options);

async function withModel(agent: ClientContext, made: object, { model, session, onUnable }: ConversationOptions): Promise<string | null> {
  const sessionId = textOf(objectOf(made)['sessionId']) ?? session?.id ?? '';
  if (model === null) return sessionId;
  const choice = modelChoiceIn(objectOf(made));
  if (choice === null || !choice.models.includes(model)) {
    const offer = choice === null ? 'lets nobody choose its model' : `offers the models ${choice.models.join(', ')}`;
    await onUnable(`it has no model "${model}": it ${offer}`);
    return null;
  }
  await agent.request('session/set_config_option', { sessionId, configId: choice.configId, value: model });
  return sessionId;
}

interface GoingOn extends Pick<ConversationOptions, 'acp' | 'cwd' | 'historyTold'> {
  readonly capabilities: SaidObject;
  readonly sessionId: string;
}

/** Goes on with an earlier session in the way that the agent can; null when it cannot, or has lost it. */
async function goneOn(agent: ClientContext, { acp, capabilities, sessionId, cwd, historyTold }: GoingOn): Promise<object | null> {
  const params = { sessionId, cwd, mcpServers: [] };
  try {
    if (objectOf(capabilities['sessionCapabilities'])['resume'] !== undefined) return await agent.request('session/resume', params);
    if (capabilities['loadSession'] !== true) return null;
    const loaded: object = await agent.request('session/load', params);
    // The history may come after this answer; what comes after the prompt would be taken for work on it.
    await historyTold();
    return loaded;
  } catch (error) {
    if (error instanceof acp.RequestError) return null; // Told as progress; a fresh session follows.
    throw error;
  }
}

function permissionAnswer(policy: PermissionPolicy, params: RequestPermissionRequest, isCancelled: boolean): RequestPermissionResponse {
  const { optionId } = answerOf(policy, params as unknown as SaidObject);
  return optionId === null || isCancelled ? { outcome: { outcome: 'cancelled' } } : { outcome: { outcome: 'selected', optionId } };
}
