# Terraform: the table for `store: dynamodb:REGION/keyturner`, with which several keyturners can run at once. The bot's role needs
# store-policy.json.
resource "aws_dynamodb_table" "keyturner" {
  name         = "keyturner"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "pk"
  range_key    = "sk"

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  attribute {
    name = "live"
    type = "S"
  }

  # What there is to do: only items with the attribute are in it.
  global_secondary_index {
    name               = "live"
    hash_key           = "live"
    range_key          = "sk"
    projection_type    = "INCLUDE"
    non_key_attributes = ["rev"]
  }

  # With AWS's own key for DynamoDB. For one of yours add kms_key_arn, and let the bot's role use it.
  server_side_encryption {
    enabled = true
  }

  point_in_time_recovery {
    enabled = true
  }

  # A help only: keyturner removes by itself what it no longer needs.
  ttl {
    attribute_name = "ttl"
    enabled        = true
  }

  # What is in it is the record of who approved what.
  deletion_protection_enabled = true

  lifecycle {
    prevent_destroy = true
  }
}
