// Checks that nginx's own directives can't make (njs; Debian: libnginx-mod-http-js).

import crypto from 'crypto';
import fs from 'fs';

const BEARER = /^Bearer ([\x21-\x7e]{16,256})$/i;
// A line of the key file, the same as ENTRY in aurum/gateway/keys.py.
const LINE = /^(?:\ufeff)?[ \t]*([A-Za-z0-9._-]{1,64})[ \t]+([0-9a-f]{64})[ \t]*\r?$/;
const MODELS = ['detect_faces', 'embed_face', 'analyze_faces'];
const MAX_JSON = 65536; // bytes; njs would take a second to parse 13 MB
const NEWLINE = 0x0a, QUOTE = 0x22;
// A backslash before anything that encoders don't escape in base64: PHP escapes slashes, all
// encoders line breaks, .NET the characters special in HTML (+ / =).
const ODD_ESCAPE = /\\(?![/nrt]|u00(?:2[bf]|3d))/i;
// The same for a part of a text whose last five bytes also begin the next part.
const ODD_ESCAPE_BEFORE = /\\(?![/nrt]|u00(?:2[bf]|3d)|[\x00-\x7f]{0,4}(?![\s\S]))/i;
const PART = 262144; // bytes of a photo that are checked at a time
// Bytes of a gRPC field that is not a tensor: Triton repeats names in its errors, which must fit in
// an HTTP/2 header.
const MAX_NAME = 1024;
// Requested for an output of strings, such as `models`, it crashes Triton 2.51.
const CLASSES = 'classification';
// JSON strings, with the colon after those that are member names.
const STRINGS = /"[^"\\]*(?:\\.[^"\\]*)*"(?:\s*:)?/g;
// A lone surrogate.
const LONE = /(?<!\\ud[89ab][0-9a-f]{2})\\ud[c-f]|\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f])/i;
// A request has one field for each parameter, input, output and tensor, and a few more.
const MAX_FIELDS = 256;
const SWITCHES = ['binary_data', 'binary_data_output', 'sequence_start', 'sequence_end'];
const COUNTS = '"(?:binary_data_size|sequence_id|priority|timeout)"';
const ALL_COUNTS = new RegExp(COUNTS, 'g');
const SOUND_COUNTS = new RegExp(COUNTS + '\\s*:\\s*(?:0|[1-9][0-9]{0,14})\\s*[,}]', 'g');

// Metadata that gRPC itself interprets: with wrong values Triton resets the connection.
const RESERVED = /^grpc-|-bin$/i;
// Parameters that Triton derives from the gateway's own headers.
const OURS = /^x-(?:request-id|aurum-.*)$/i;
const HELD = 10000; // ms
const ANSWERING = 10; // seconds that a photo may take once it is being processed
const CONTROL = /[\x00-\x1f\x7f-\x9f]/; // would break a line of Triton's log
const KEY = /aurum_[A-Za-z0-9_-]{40}/; // must not be logged either

// The id of the key in `Authorization: Bearer`; "" without a valid key, "!" if the file can't be
// read. The file is read for each request, so that changes take effect at once. It is not parsed but
// searched for the key's digest, which takes about the same time for one key as for thousands. Its
// timing leaks nothing useful about digests, since keys are random.
function keyId(r) {
    const given = BEARER.exec(r.headersIn.Authorization || '');
    if (!given) {
        return '';
    }
    let file;
    try {
        file = fs.readFileSync(r.variables.keys_file);
    } catch (error) {
        r.error('the API keys cannot be read: ' + error.message);
        return '!';
    }
    return owner(file, crypto.createHash('sha256').update(given[1]).digest('hex'));
}

// The id on the key file's line with this digest; "" if there is none.
function owner(file, digest) {
    let at = -1;
    while ((at = file.indexOf(digest, at + 1)) >= 0) {
        const start = file.lastIndexOf(NEWLINE, at) + 1;
        const end = file.indexOf(NEWLINE, at);
        const key = LINE.exec(file.toString('utf8', start, end < 0 ? file.length : end));
        if (key && key[2] === digest) {
            return key[1];
        }
    }
    return '';
}

// ModelInfer and ModelReady, for the public models only.
function grpc(r) {
    const asked = reservedMetadata(r) ? {refusal: 'metadata'} :
        modelOf(r.requestBuffer || Buffer.alloc(0));
    if (asked.refusal) {
        r.internalRedirect('/_gateway/' + r.variables.speaks + '/' + asked.refusal);
    } else {
        r.variables.model = asked.model;
        r.internalRedirect('@triton');
    }
}

// ServerLive and ServerReady: their one message has no fields, so it is always the same five bytes.
function health(r) {
    const body = r.requestBuffer || Buffer.alloc(0);
    if (reservedMetadata(r)) {
        r.internalRedirect('/_gateway/' + r.variables.speaks + '/metadata');
    } else if (body.length !== 5 || body.readUInt32BE(0) !== 0 || body[4] !== 0) {
        r.internalRedirect('/_gateway/' + r.variables.speaks + '/400');
    } else {
        r.internalRedirect('@triton_health');
    }
}

// Keep the slot of a client that disconnected before the answer (docs/guides/security.md).
function gone(r) {
    setTimeout(() => r.finish(), HELD);
}

// Unix time after which the step skips a request: the gateway is about to time out, and would count
// that as a failure of the server.
function deadline(r) {
    const patience = Number(r.variables.server_timeout);
    return (Date.now() / 1000 + patience - Math.min(ANSWERING, patience / 2)).toFixed(3);
}

// Whether there is reserved gRPC metadata that nginx doesn't remove.
function reservedMetadata(r) {
    const known = r.variables.dropped_metadata.split(' ');
    return r.rawHeadersIn.some(header => RESERVED.test(header[0]) &&
        known.indexOf(header[0].toLowerCase()) < 0);
}

// Inference over HTTP. Triton 2.51's HTTP front end crashes on deeply nested JSON, and on shapes
// whose product overflows or can't be allocated; it answers 500 to values of the wrong type. So only
// JSON that is valid for the pipelines is passed on.
function infer(r) {
    // The header as it is forwarded, in case there are two.
    const given = r.variables.http_inference_header_content_length;
    if (!given && bodyLength(r) > Number(r.variables.json_limit)) {
        r.internalRedirect('/_gateway/http/large_json');
    } else {
        const wrong = given && Number(given) === 0 ? '' : fault(json(r, given));
        r.internalRedirect(wrong ? '/_gateway/http/' + wrong : '@triton_http');
    }
}

// Length of the body. JSON alone has a lower limit, since it takes twice its size in memory.
function bodyLength(r) {
    return Number(r.headersIn['Content-Length'] || (r.requestBuffer || '').length);
}

// The JSON of a request: as long as its header says, or the whole body; of a long one only what
// surrounds the photo's string. "" if there is none, or too much.
function json(r, given) {
    const body = r.requestBuffer;
    const length = given ? Number(given) : body && body.length;
    if (!body || !length || length > body.length) {
        return '';
    }
    if (length <= MAX_JSON) {
        return text(body.slice(0, length));
    }
    const head = /^[\s\S]*?"data"\s*:\s*\[\s*"/.exec(body.slice(0, MAX_JSON / 2).toString());
    if (given || !head) {
        return '';
    }
    const start = Buffer.byteLength(head[0]);
    const end = body.indexOf(QUOTE, start);
    // Bytes that are not valid UTF-8 would shift `start`.
    if (text(body.slice(0, start)) !== head[0] || body.length - end > MAX_JSON / 2) {
        return '';
    }
    // In large parts: handling millions of escapes one by one would take njs seconds.
    const first = body.indexOf('\\', start);
    for (let at = first < 0 ? end : first; at < end; at += PART) {
        const stop = Math.min(at + PART + 5, end + 1);
        const odd = stop > end ? ODD_ESCAPE : ODD_ESCAPE_BEFORE;
        if (odd.test(body.toString('utf8', at, stop))) {
            return '';
        }
    }
    const tail = text(body.slice(end));
    return tail && head[0] + tail;
}

// The bytes as text; "" if they are not UTF-8: Triton repeats names unchanged, and its answer would
// not be valid JSON.
function text(bytes) {
    const found = bytes.toString();
    return Buffer.from(found).equals(bytes) ? found : '';
}

// The name of the error response for a request's JSON; "" if it has one input of shape [1] and
// datatype BYTES, and otherwise only values of the types that Triton expects.
function fault(text) {
    // What JSON.parse accepts and Triton doesn't: lone surrogates, names that are empty or contain a
    // zero byte, 1.0 for 1. Escaped letters, which no encoder writes, could hide a name.
    if (/\\u00[67]/i.test(text) || matches(text, /"shape"/g) !== 1 || LONE.test(text) || /\\u0000|""\s*:/.test(text) ||
        !/"shape"\s*:\s*\[\s*1\s*\]/.test(text) ||
        matches(text, ALL_COUNTS) !== matches(text, SOUND_COUNTS)) {
        return 'json';
    }
    let request;
    try {
        request = JSON.parse(text); // njs refuses more than 32 levels
    } catch (error) {
        return 'json';
    }
    // Of duplicate members Triton takes the first and JSON.parse the last, so there may be none.
    if (!sound(request) || names(text) !== members(request)) {
        return 'json';
    }
    if (Object.keys(request.parameters || {}).some(name => OURS.test(name))) {
        return 'request_id';
    }
    return forLogs(request.id || '') ? '' : 'id';
}

function sound(request) {
    if (!isObject(request) || !Array.isArray(request.inputs) || request.inputs.length !== 1) {
        return false;
    }
    const image = request.inputs[0];
    const outputs = request.outputs === undefined ? [] : request.outputs;
    return isObject(image) && typeof image.name === 'string' && image.datatype === 'BYTES' &&
        Array.isArray(image.shape) && image.shape.length === 1 && image.shape[0] === 1 &&
        (image.data === undefined || Array.isArray(image.data) && image.data.length === 1 &&
            typeof image.data[0] === 'string') &&
        (request.id === undefined || typeof request.id === 'string') &&
        soundParameters(image.parameters) && soundParameters(request.parameters) &&
        Array.isArray(outputs) && outputs.every(output => isObject(output) &&
            typeof output.name === 'string' && soundParameters(output.parameters));
}

// Whether this request id may appear in Triton's log.
function forLogs(id) {
    return !CONTROL.test(id) && !KEY.test(id);
}

// The number of member names in a JSON text, duplicates included.
function names(text) {
    return (text.match(STRINGS) || []).filter(found => found[found.length - 1] === ':').length;
}

// The number of members of all objects in a value.
function members(value) {
    if (typeof value !== 'object' || value === null) {
        return 0;
    }
    const inner = Array.isArray(value) ? value : Object.values(value);
    return inner.reduce((sum, item) => sum + members(item), inner === value ? 0 : inner.length);
}

function matches(text, pattern) {
    return (text.match(pattern) || []).length;
}

function isObject(value) {
    return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// Parameters of a request, an input or an output: plain values, and for Triton's own parameters the
// types that its HTTP front end (2.51) expects.
function soundParameters(parameters) {
    return parameters === undefined || isObject(parameters) &&
        Object.keys(parameters).every(name => {
            const value = parameters[name];
            if (name === CLASSES || name.startsWith('shared_memory')) {
                return false;
            }
            if (SWITCHES.indexOf(name) >= 0) {
                return typeof value === 'boolean';
            }
            return typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value);
        });
}

// The model of a gRPC body: field 1 of its one message, which is the name in ModelInferRequest and
// ModelReadyRequest (KServe's open_inference_grpc.proto). Of several, the last counts, as in
// protobuf's own parsers. `refusal` is the name of the error response if the message is invalid.
function modelOf(body) {
    if (body.length < 5 || body[0] !== 0 || body.readUInt32BE(1) !== body.length - 5) {
        return {refusal: '400'};
    }
    let model = '';
    let refusal = '';
    const small = (start, end) => end - start <= MAX_NAME;
    const text = (start, end) => body.toString('utf8', start, end);
    const sound = walk(body, 5, body.length, (field, start, end) => {
        if (field === 1) {
            model = small(start, end) ? text(start, end) : '';
            return true;
        }
        if (field === 5) { // an input, whose field 5 is its contents
            return walk(body, start, end, (inner, a, b) => inner === 5 || small(a, b));
        }
        if (field === 7) { // raw contents
            return true;
        }
        if (!small(start, end)) {
            return false;
        }
        if (field === 3 && !forLogs(text(start, end))) {
            refusal = 'id';
        }
        if (field === 4) { // a parameter, whose field 1 is its name
            return walk(body, start, end, (inner, a, b) => {
                if (inner === 1 && OURS.test(text(a, b))) {
                    refusal = 'request_id';
                }
                return true;
            });
        }
        return field !== 6 || text(start, end).indexOf(CLASSES) < 0; // an output
    });
    if (!sound) {
        return {refusal: '400'};
    }
    if (MODELS.indexOf(model) < 0) {
        return {refusal: 'model'};
    }
    return {model: model, refusal: refusal};
}

// Visit each length-delimited field of a protobuf message; false if the message is malformed or
// `visit` returns false.
function walk(body, start, stop, visit) {
    const reader = {body: body, at: start};
    for (let fields = 0; reader.at < stop; fields++) {
        const tag = varint(reader, 5);
        if (tag === null || tag >= 4294967296 || fields === MAX_FIELDS) {
            return false;
        }
        const field = Math.floor(tag / 8);
        let length = 0;
        switch (tag % 8) {
        case 0:
            if (varint(reader, 10) === null) {
                return false;
            }
            break;
        case 1:
            length = 8;
            break;
        case 2:
            length = varint(reader, 5);
            if (length === null || length > stop - reader.at ||
                !visit(field, reader.at, reader.at + length)) {
                return false;
            }
            break;
        case 5:
            length = 4;
            break;
        default:
            return false;
        }
        reader.at += length;
    }
    return reader.at === stop;
}

// A protobuf varint of at most `bytes` bytes; null if there is none.
function varint(reader, bytes) {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < bytes && reader.at < reader.body.length; i++) {
        const byte = reader.body[reader.at++];
        value += (byte % 128) * scale;
        scale *= 128;
        if (byte < 128) {
            return value;
        }
    }
    return null;
}

export default {keyId, deadline, gone, grpc, health, infer};
