// Normalisation of maps [N, C, H, W], float32: statistics, y = relu(gamma (x - mean) inv_std + beta), gradients.
// Compiled by NVRTC when first used. `plane` is H W, `images` N.
// Rows of `table`, each [C]: 0 mean, 1 1 / standard deviation, 2 gamma, 3 beta, 4 and 5 the sums of `sums`.

__device__ float prepared(float x, const float *table, int channels, int c) {
    return (x - table[c]) * table[channels + c];
}

// Adds two numbers of every thread of a block of 256; thread 0 has the sums. Always in the same order.
__device__ void add_up(double &a, double &b) {
    __shared__ double sa[256], sb[256];
    int t = threadIdx.x;
    sa[t] = a;
    sb[t] = b;
    __syncthreads();
    for (int half = 128; half > 0; half /= 2) {
        if (t < half) {
            sa[t] += sa[t + half];
            sb[t] += sb[t + half];
        }
        __syncthreads();
    }
    a = sa[0];
    b = sb[0];
}

// Block (c, part) adds up its part of channel c: parts[(c * gridDim.y + part) * 2] the values less the channel's
// first, the next their squares.
extern "C" __global__ void moments_of_parts(
    const float *x, double *parts, int channels, unsigned plane, int images) {
    int c = blockIdx.x;
    float centre = x[(size_t)c * plane];
    double a = 0, b = 0;
    unsigned step = gridDim.y * blockDim.x;
    for (int image = 0; image < images; image++) {
        const float *channel = x + ((size_t)image * channels + c) * plane;
        for (unsigned i = blockIdx.y * blockDim.x + threadIdx.x; i < plane; i += step) {
            float value = channel[i] - centre;
            a += value;
            b += (double)value * value;
        }
    }
    add_up(a, b);
    if (threadIdx.x == 0) {
        double *part = parts + ((size_t)c * gridDim.y + blockIdx.y) * 2;
        part[0] = a;
        part[1] = b;
    }
}

// One thread a channel: moments[c] the mean, moments[channels + c] the biased variance.
extern "C" __global__ void moments_of_all(
    const float *x, const double *parts, float *moments, int channels, int count, unsigned plane, int images) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= channels) return;
    double a = 0, b = 0, values = (double)images * plane;
    for (int part = 0; part < count; part++) {
        a += parts[((size_t)c * count + part) * 2];
        b += parts[((size_t)c * count + part) * 2 + 1];
    }
    double shift = a / values;
    moments[c] = (float)(x[(size_t)c * plane] + shift);
    double variance = b / values - shift * shift;
    moments[channels + c] = (float)(variance > 0 ? variance : 0);
}

extern "C" __global__ void affine(
    const float *x, const float *table, float *y, int channels, unsigned plane, int images, int rectified) {
    for (int map = blockIdx.y; map < images * channels; map += gridDim.y) {
        int c = map % channels;
        size_t start = (size_t)map * plane;
        for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < plane; i += gridDim.x * blockDim.x) {
            float normal = prepared(x[start + i], table, channels, c);
            float value = normal * table[2 * channels + c] + table[3 * channels + c];
            // NaN stays NaN.
            y[start + i] = rectified && value <= 0 ? 0.0f : value;
        }
    }
}

// The gradient before the rectifier.
__device__ float arriving(float normal, float dy, const float *table, int channels, int c, int rectified) {
    float value = normal * table[2 * channels + c] + table[3 * channels + c];
    return rectified && !(value > 0) ? 0.0f : dy;
}

// As `moments_of_parts`, of the gradient and of the gradient times the normalised value.
extern "C" __global__ void sums_of_parts(
    const float *x, const float *dy, const float *table, double *parts, int channels, unsigned plane,
    int images, int rectified) {
    int c = blockIdx.x;
    double a = 0, b = 0;
    unsigned step = gridDim.y * blockDim.x;
    for (int image = 0; image < images; image++) {
        size_t start = ((size_t)image * channels + c) * plane;
        for (unsigned i = blockIdx.y * blockDim.x + threadIdx.x; i < plane; i += step) {
            float normal = prepared(x[start + i], table, channels, c);
            float dz = arriving(normal, dy[start + i], table, channels, c, rectified);
            a += dz;
            b += (double)dz * normal;
        }
    }
    add_up(a, b);
    if (threadIdx.x == 0) {
        double *part = parts + ((size_t)c * gridDim.y + blockIdx.y) * 2;
        part[0] = a;
        part[1] = b;
    }
}

// One thread a channel: sums[c] the gradient of beta, sums[channels + c] that of gamma.
extern "C" __global__ void sums_of_all(const double *parts, float *sums, int channels, int count) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= channels) return;
    double a = 0, b = 0;
    for (int part = 0; part < count; part++) {
        a += parts[((size_t)c * count + part) * 2];
        b += parts[((size_t)c * count + part) * 2 + 1];
    }
    sums[c] = (float)a;
    sums[channels + c] = (float)b;
}

// The gradient of x; with the batch's own statistics (`values` above 0) also through mean and deviation.
extern "C" __global__ void affine_backward(
    const float *x, const float *dy, const float *table, float *dx, int channels, unsigned plane, int images,
    int rectified, float values) {
    for (int map = blockIdx.y; map < images * channels; map += gridDim.y) {
        int c = map % channels;
        size_t start = (size_t)map * plane;
        for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < plane; i += gridDim.x * blockDim.x) {
            float normal = prepared(x[start + i], table, channels, c);
            float dz = arriving(normal, dy[start + i], table, channels, c, rectified);
            if (values > 0) dz -= (table[4 * channels + c] + normal * table[5 * channels + c]) / values;
            dx[start + i] = table[2 * channels + c] * table[channels + c] * dz;
        }
    }
}
