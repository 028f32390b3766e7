/**
 * Checked by the compiler, and by nothing else: every response that a schema of core/protocol/responses describes fits the type with which the
 * client returns it, and has every field that the type names. A mismatch does not compile, and the error names the field.
 */
import type { Static, TSchema } from 'typebox';
import type * as agents from '../../core/protocol/responses/agent-responses.ts';
import type { errorSchema } from '../../core/protocol/responses/error-response.ts';
import type * as tasks from '../../core/protocol/responses/task-responses.ts';
import type { HttpErrorBody } from '../../core/protocol/http-errors.ts';
import type { auditPageSchema } from '../../core/protocol/responses/audit-responses.ts';
import type { AuditPageJson } from './audit-client.ts';
import type * as client from './types.ts';

/** Field names, without an index signature. */
type Named<T> = keyof { [K in keyof T as string extends K ? never : K]: true };
type Missing<Hub, Client> = Exclude<Named<Client>, keyof Hub>;
/** True, or what does not fit. */
type Fits<Schema extends TSchema, Client> =
  Static<Schema> extends Client
    ? [Missing<Static<Schema>, Client>] extends [never]
      ? true
      : { readonly neverAnswered: Missing<Static<Schema>, Client> }
    : { readonly doesNotFit: { [K in keyof Client & keyof Static<Schema> as Static<Schema>[K] extends Client[K] ? never : K]: Client[K] } };

/** Also true if the hub sends fewer fields here. */
type FitsInPart<Schema extends TSchema, Client> = Static<Schema> extends Client ? true : Fits<Schema, Client>;

type Checked<All extends readonly true[]> = All;

export type ResponseTypes = Checked<
  [
    Fits<typeof tasks.submittedSchema, client.SubmittedTask>,
    Fits<typeof tasks.submittedManySchema, { readonly task_ids: readonly string[] }>,
    Fits<typeof tasks.taskPageSchema, client.Page<'tasks', client.TaskJson>>,
    Fits<typeof tasks.taskSchema, client.TaskJson>,
    Fits<typeof tasks.taskDetailSchema, client.TaskDetail>,
    Fits<typeof tasks.taskEventsSchema, client.TaskEventsPage>,
    Fits<typeof tasks.keptResultSchema, client.KeptResultJson>,
    Fits<typeof tasks.outputPageSchema, client.OutputPage>,
    Fits<typeof tasks.taskChangedSchema, client.ActAnswer>,
    Fits<typeof tasks.pushedSchema, client.PushAnswer>,
    FitsInPart<typeof agents.agentSchema, client.AgentJson>,
    Fits<typeof agents.agentPageSchema, client.Page<'agents', client.AgentJson>>,
    Fits<typeof agents.agentDetailSchema, client.AgentJson>,
    Fits<typeof agents.agentChangedSchema, client.AgentChanged>,
    Fits<typeof agents.tokenPageSchema, client.Page<'tokens', client.TokenJson>>,
    Fits<typeof agents.createdTokenSchema, client.TokenJson>,
    Fits<typeof agents.rotatedTokenSchema, client.RotatedTokenJson>,
    Fits<typeof agents.enrolSecretSchema, client.EnrolSecretJson>,
    Fits<typeof agents.registrationSchema, client.Registration>,
    Fits<typeof agents.registerChallengeSchema, client.RegisterChallenge>,
    Fits<typeof agents.sealedRegistrationSchema, client.SealedRegistration>,
    Fits<typeof auditPageSchema, AuditPageJson>,
    Fits<typeof agents.whoAmISchema, client.WhoAmIJson>,
    Fits<typeof errorSchema, HttpErrorBody>,
  ]
>;
