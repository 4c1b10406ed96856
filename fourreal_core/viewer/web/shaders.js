/**
 * The image formation of the core's rasterizer (`fourreal_core/rasterizer/torch_backend.py`) on the GPU: a splat is a
 * square as large as its alpha is drawn, splats are blended front to back.
 */

export const SPLAT_VERTEX = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
precision highp isampler2D;
precision highp usampler2D;

uniform usampler2D order;        // splats front to back; four vertices each
uniform sampler2D geometry;      // x, y, z, scale
uniform sampler2D appearance;    // red, green, blue, opacity
uniform sampler2D units;         // what a step of motion stands for
uniform isampler2D motionBefore;
uniform isampler2D motionAfter;
uniform isampler2D viewOffsets;
uniform isampler2D viewColors;

uniform sampler2D lifetimes;     // first and last time step

uniform int moving;
uniform float time;              // below zero where every splat is there always
uniform vec2 motionWeights;
uniform float viewWeight;
uniform vec4 viewRow;            // gives the depth in the view that differs
uniform float viewUnit;
uniform mat3 rotation;
uniform vec3 translation;
uniform vec4 intrinsics;         // fx, fy, cx, cy
uniform vec2 size;
uniform vec2 colorRange;
uniform float sizeFactor;
uniform float near;
uniform float lowPass;
uniform float minAlpha;

flat out vec4 color;
flat out float falloff;
out vec2 offset;

void main() {
  int rank = gl_VertexID >> 2;
  int index = int(texelFetch(order, ivec2(rank & ${1024 - 1}, rank >> 10), 0).x);
  ivec2 at = ivec2(index & ${1024 - 1}, index >> 10);
  vec4 placed = texelFetch(geometry, at, 0);
  vec3 world = placed.xyz;
  if (index < moving) {
    vec3 steps = motionWeights.x * vec3(texelFetch(motionBefore, at, 0).xyz)
      + motionWeights.y * vec3(texelFetch(motionAfter, at, 0).xyz);
    world += texelFetch(units, at, 0).x * steps;
  }
  vec3 seen = rotation * world + translation;
  vec4 shown = texelFetch(appearance, at, 0);
  vec3 rgb = mix(colorRange.xxx, colorRange.yyy, shown.rgb);
  if (viewWeight > 0.0) {
    float depth = max(dot(viewRow, vec4(placed.xyz, 1.0)), near);
    seen += viewWeight * viewUnit * depth * vec3(texelFetch(viewOffsets, at, 0).xyz);
    rgb += viewWeight / 255.0 * vec3(texelFetch(viewColors, at, 0).xyz);
  }
  gl_Position = vec4(2.0, 2.0, 2.0, 1.0);  // outside, unless it can be seen
  if (time >= 0.0) {
    vec2 outside = max(texelFetch(lifetimes, at, 0).xy * vec2(1.0, -1.0) + vec2(-time, time), 0.0);
    shown.a *= max(1.0 - outside.x - outside.y, 0.0);
  }
  if (seen.z < near || shown.a < minAlpha) return;

  float spread = sizeFactor * placed.w / seen.z;
  float variance = intrinsics.x * intrinsics.y * spread * spread + lowPass;
  float reach = sqrt(2.0 * variance * log(shown.a / minAlpha)) + 0.5;
  vec2 center = intrinsics.xy * seen.xy / seen.z + intrinsics.zw;
  vec2 corner = vec2(gl_VertexID & 1, (gl_VertexID >> 1) & 1) * 2.0 - 1.0;
  offset = corner * reach;
  vec2 clip = (center + offset) / size * 2.0 - 1.0;
  gl_Position = vec4(clip.x, -clip.y, 0.0, 1.0);
  color = vec4(rgb, shown.a);
  falloff = -0.5 / variance;
}
`;

export const SPLAT_FRAGMENT = `#version 300 es
precision highp float;

uniform float minAlpha;
uniform float maxAlpha;

flat in vec4 color;
flat in float falloff;
in vec2 offset;
out vec4 result;

void main() {
  float alpha = min(color.a * exp(dot(offset, offset) * falloff), maxAlpha);
  if (alpha < minAlpha) discard;
  result = vec4(color.rgb * alpha, alpha);
}
`;

export const RESOLVE_VERTEX = `#version 300 es
void main() {
  gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0.0, 1.0);
}
`;

export const RESOLVE_FRAGMENT = `#version 300 es
precision highp float;

uniform sampler2D summed;
uniform vec4 background;  // premultiplied: transparent where alpha is 0
uniform vec2 magnify;

out vec4 result;

void main() {
  vec4 sum = texelFetch(summed, ivec2(gl_FragCoord.xy * magnify), 0);
  result = clamp(sum + (1.0 - sum.a) * background, 0.0, 1.0);
}
`;
