export { postgresSchema } from '../postgres/schema.ts';
