// What the examples use.

export { CsmClient, Speech } from "./client.mjs";
export { Conversation } from "./conversation.mjs";
export { CsmError } from "./errors.mjs";
