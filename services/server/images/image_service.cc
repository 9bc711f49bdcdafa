// SPDX-License-Identifier: Apache-2.0
#include "services/server/images/image_service.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"
#include "services/server/fleet/fleet_names.h"

namespace virmo::server {

std::string ImageUri(const std::string& public_url, const v1::Image& image) {
  return absl::StrCat(public_url, "/images/sha256/", image.sha256());
}

grpc::Status ImageService::Answer(absl::StatusOr<v1::Image> image, v1::Image* response) const {
  if (!image.ok()) return ToGrpc(image.status());
  *response = *std::move(image);
  response->set_uri(ImageUri(public_url_, *response));
  return grpc::Status::OK;
}

absl::StatusOr<v1::Image> ImageService::Receive(
    grpc::ServerContext& context, grpc::ServerReader<v1::UploadImageRequest>& reader) {
  v1::UploadImageRequest request;
  if (!reader.Read(&request) || !request.has_image()) {
    return InvalidField("image", "the first message must describe the image");
  }
  const v1::Image told = request.image();
  RETURN_IF_ERROR(ImageLibrary::Check(told));
  ASSIGN_OR_RETURN(std::unique_ptr<ImageLibrary::Upload> upload, library_.BeginUpload());
  do {
    RETURN_IF_ERROR(upload->Write(request.chunk()));
    // Told sizes end an endless stream early.
    if (told.size_bytes() != 0 && upload->size() > told.size_bytes()) {
      return Error(v1::ErrorInfo::REASON_PACKAGE_INVALID,
                   absl::StrCat("more octets came than the ", told.size_bytes(), " told"));
    }
  } while (reader.Read(&request));
  // A broken stream ends like a finished one.
  if (context.IsCancelled()) return absl::CancelledError("the upload was broken off");
  return library_.Finish(std::move(upload), told);
}

grpc::Status ImageService::UploadImage(grpc::ServerContext* context,
                                       grpc::ServerReader<v1::UploadImageRequest>* reader,
                                       v1::Image* response) {
  absl::StatusOr<v1::Image> image = Receive(*context, *reader);
  if (image.ok()) {
    spdlog::info("uploaded image={} sha256={} size_bytes={}", image->name(), image->sha256(),
                 image->size_bytes());
  }
  return Answer(std::move(image), response);
}

grpc::Status ImageService::GetImage(grpc::ServerContext* /*context*/,
                                    const v1::GetImageRequest* request, v1::Image* response) {
  const auto id = ImageId(request->name(), "name");
  if (!id.ok()) return ToGrpc(id.status());
  return Answer(library_.Get(*id), response);
}

grpc::Status ImageService::ListImages(grpc::ServerContext* /*context*/,
                                      const v1::ListImagesRequest* request,
                                      v1::ListImagesResponse* response) {
  auto list = library_.List(request->page_size(), request->page_token());
  if (!list.ok()) return ToGrpc(list.status());
  *response = *std::move(list);
  for (v1::Image& image : *response->mutable_images()) image.set_uri(ImageUri(public_url_, image));
  return grpc::Status::OK;
}

grpc::Status ImageService::DeleteImage(grpc::ServerContext* /*context*/,
                                       const v1::DeleteImageRequest* request, v1::Image* response) {
  const auto id = ImageId(request->name(), "name");
  if (!id.ok()) return ToGrpc(id.status());
  return Answer(
      library_.Delete(*id, [this](const std::string& name) { return queue_.IsImageNeeded(name); }),
      response);
}

}  // namespace virmo::server
