// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "services/server/fleet/command_queue.h"
#include "services/server/images/image_library.h"
#include "virmo/v1/image_service.grpc.pb.h"

namespace virmo::server {

// virmo.v1.ImageService over an ImageLibrary.
class ImageService : public v1::ImageService::Service {
 public:
  // `public_url` is what devices reach this server by.
  ImageService(ImageLibrary& library, CommandQueue& queue, std::string public_url)
      : library_(library), queue_(queue), public_url_(std::move(public_url)) {}

  grpc::Status UploadImage(grpc::ServerContext* context,
                           grpc::ServerReader<v1::UploadImageRequest>* reader,
                           v1::Image* response) override;
  grpc::Status GetImage(grpc::ServerContext* context, const v1::GetImageRequest* request,
                        v1::Image* response) override;
  grpc::Status ListImages(grpc::ServerContext* context, const v1::ListImagesRequest* request,
                          v1::ListImagesResponse* response) override;
  grpc::Status DeleteImage(grpc::ServerContext* context, const v1::DeleteImageRequest* request,
                           v1::Image* response) override;

 private:
  absl::StatusOr<v1::Image> Receive(grpc::ServerContext& context,
                                    grpc::ServerReader<v1::UploadImageRequest>& reader);
  grpc::Status Answer(absl::StatusOr<v1::Image> image, v1::Image* response) const;

  ImageLibrary& library_;
  CommandQueue& queue_;
  const std::string public_url_;
};

// Where devices fetch an image.
std::string ImageUri(const std::string& public_url, const v1::Image& image);

}  // namespace virmo::server
