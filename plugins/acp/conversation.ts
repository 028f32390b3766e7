/**
 * The conversation with an agent about one task: initializes it, opens a session, sends the prompt, and answers its
 * requests.
 */
import { itemsOf, messageOf, objectOf, shorten, textOf, type JsonObject, type Session } from '../plugin.ts';
import { saysSessionNotFound } from './agent-failure.ts';
import type { AcpPackage, ClientContext, RequestPermissionRequest, RequestPermissionResponse, Stream } from './sdk-package.ts';
import { answerOf, type PermissionPolicy } from './permission.ts';

export interface ConversationOptions {
  readonly acp: AcpPackage;
  readonly stream: Stream;
  /** Absolute. */
  readonly cwd: string;
  readonly prompt: string;
  /** The session to resume; null for a fresh one. */
  readonly session: Session | null;
  /** The model to select through the session's own option; null: none. */
  readonly model: string | null;
  readonly policy: PermissionPolicy;
  /** Resolves when the agent has sent nothing more of a session's history for a while. */
  historyReplayed(): Promise<void>;
  /** Called when the conversation cannot continue, for a reason that the agent has not reported itself. */
  onError(message: string): Promise<void>;
}

export interface Conversation {
  /** Resolves when the prompt was answered or the conversation has failed. */
  readonly over: Promise<void>;
  /**
   * If a prompt is open, asks the agent to cancel it and returns true. The answer to the prompt then ends the
   * conversation.
   */
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
    // The run sees all messages before they get here; unknown ones are not for us.
    .onNotification('session/update', () => undefined)
    .onNotification('*', () => undefined);
  const connection = app.connect(stream);
  const sendPrompt = async (sessionId: string): Promise<void> => {
    promptedIn = sessionId;
    await connection.agent.request('session/prompt', { sessionId, prompt: [{ type: 'text', text: options.prompt }] });
  };
  const run = async (): Promise<void> => {
    const sessionId = await openSession(connection.agent, options);
    if (sessionId === null || isCancelled) return;
    try {
      await sendPrompt(sessionId);
    } catch (error) {
      const isLost = error instanceof acp.RequestError && saysSessionNotFound({ message: error.message, data: error.data });
      if (!isLost || sessionId !== options.session?.id || isCancelled) throw error;
      const fresh = await newSession(connection.agent, options);
      if (fresh !== null && !isCancelled) await sendPrompt(fresh);
    }
  };
  const over = run()
    .catch(async (error: unknown) => {
      // The agent's error response is reported where its messages are read, and its end elsewhere.
      if (error instanceof acp.RequestError || connection.signal.aborted) return;
      await options.onError(`its messages do not follow the protocol: ${shorten(messageOf(error))}`);
    })
    .finally(() => {
      promptedIn = null;
    });

  return {
    over,
    cancel() {
      isCancelled = true;
      if (promptedIn === null) return false;
      // The pipe may break at any time, since the agent may exit at any time; its end reports that.
      void Promise.allSettled([connection.agent.notify('session/cancel', { sessionId: promptedIn })]);
      return true;
    },
    close() {
      connection.close();
    },
  };
}

/** Opens a session and selects its model. Null if that failed, which was reported. */
async function openSession(agent: ClientContext, options: ConversationOptions): Promise<string | null> {
  const { acp, session, cwd, historyReplayed, onError } = options;
  // Without a file capability, the agent accesses files itself, as it should.
  const initialized = await agent.request('initialize', {
    protocolVersion: acp.PROTOCOL_VERSION,
    clientInfo: { name: 'agentcom', version: '1' },
    clientCapabilities: {},
  });
  if (initialized.protocolVersion !== acp.PROTOCOL_VERSION) {
    const spoken = String(initialized.protocolVersion);
    await onError(`it speaks version ${spoken} of the protocol, but this runner needs version ${String(acp.PROTOCOL_VERSION)}`);
    return null;
  }
  const capabilities = objectOf(initialized.agentCapabilities);
  const resumed = session === null ? null : await resumeSession(agent, { acp, capabilities, sessionId: session.id, cwd, historyReplayed });
  return resumed === null ? newSession(agent, options) : withModel(agent, resumed, options);
}

/** A fresh session. */
const newSession = async (agent: ClientContext, options: ConversationOptions): Promise<string | null> =>
  withModel(agent, await agent.request('session/new', { cwd: options.cwd, mcpServers: [] }), options);

async function withModel(agent: ClientContext, made: object, { model, session, onError }: ConversationOptions): Promise<string | null> {
  const sessionId = textOf(objectOf(made)['sessionId']) ?? session?.id ?? '';
  if (model === null) return sessionId;
  const option = modelOption(objectOf(made));
  if (option === null || !option.models.includes(model)) {
    const offer = option === null ? 'does not let clients choose its model' : `offers the models ${option.models.join(', ')}`;
    await onError(`it has no model "${model}": it ${offer}`);
    return null;
  }
  await agent.request('session/set_config_option', { sessionId, configId: option.configId, value: model });
  return sessionId;
}

/** The models that a session offers, and the option that selects one; null if it offers none. */
function modelOption(session: JsonObject): { readonly configId: string; readonly models: readonly string[] } | null {
  const option = itemsOf(session['configOptions'])
    .map(objectOf)
    .find(({ category, id }) => category === 'model' || id === 'model');
  const configId = textOf(option?.['id']);
  if (option === undefined || configId === null) return null;
  // Values may be grouped.
  const values = itemsOf(option['options'])
    .map(objectOf)
    .flatMap((value) => [value, ...itemsOf(value['options']).map(objectOf)]);
  return { configId, models: values.flatMap(({ value }) => textOf(value) ?? []) };
}

interface ResumeOptions extends Pick<ConversationOptions, 'acp' | 'cwd' | 'historyReplayed'> {
  readonly capabilities: JsonObject;
  readonly sessionId: string;
}

/** Resumes an earlier session in whichever way the agent supports; null if it supports none, or has lost it. */
async function resumeSession(
  agent: ClientContext,
  { acp, capabilities, sessionId, cwd, historyReplayed }: ResumeOptions,
): Promise<object | null> {
  const params = { sessionId, cwd, mcpServers: [] };
  try {
    if (objectOf(capabilities['sessionCapabilities'])['resume'] !== undefined) return await agent.request('session/resume', params);
    if (capabilities['loadSession'] !== true) return null;
    const loaded: object = await agent.request('session/load', params);
    // The history may arrive after this answer; after the prompt, it would be mistaken for work.
    await historyReplayed();
    return loaded;
  } catch (error) {
    if (error instanceof acp.RequestError) return null; // Reported as progress; a fresh session follows.
    throw error;
  }
}

function permissionAnswer(policy: PermissionPolicy, params: RequestPermissionRequest, isCancelled: boolean): RequestPermissionResponse {
  const { optionId } = answerOf(policy, params as unknown as JsonObject);
  return optionId === null || isCancelled ? { outcome: { outcome: 'cancelled' } } : { outcome: { outcome: 'selected', optionId } };
}
